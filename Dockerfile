# A server of translation models. Their folder is mounted at /models; compose.yaml accepts corrections, too:
#   docker build -t nmt . && docker run -p 127.0.0.1:5000:5000 -v ./runs:/models:ro nmt /models
# The image has the PyTorch build for the CPU, from PyTorch's own index. Without --torch-backend it would have the one for
# CUDA, which downloads 2.7 GB in place of 0.2 GB.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 nmt
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY nmt nmt
COPY recipes recipes
RUN pip install --no-cache-dir uv && uv pip install --system --no-cache --torch-backend cpu -c constraints.txt ".[serve]"

USER 10001
EXPOSE 5000
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/health', timeout=5)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["nmt", "serve", "--host", "0.0.0.0"]
CMD ["--help"]
