"""Translation speed of Hugging Face's ``generate``, as a peer of ``decode.py``.

    nmt export runs/de-en --to huggingface -o de-en.hf
    python tools/bench/generate.py de-en.hf test.de --reference test.en --device cuda --batch-size 256

The folder is any that ``AutoModelForSeq2SeqLM`` reads. Sentences are sorted by length and translated in batches, as nmt
does; the time is that of tokenizing, search and text, without loading the model and after a warm-up.
"""

import argparse
import time
from pathlib import Path


def main() -> None:
    import sacrebleu
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("--reference", metavar="FILE")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--type", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--beam-size", type=int, default=5, metavar="N")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N")
    parser.add_argument("--max-new-tokens", type=int, default=108, metavar="N")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(options.folder, dtype=getattr(torch, options.type))
    model = model.to(options.device).eval()
    lines = Path(options.source).read_text("utf-8").splitlines()

    @torch.inference_mode()
    def translate(lines: list[str]) -> list[str]:
        ids = tokenizer(lines)["input_ids"]
        order = sorted(range(len(lines)), key=lambda row: -len(ids[row]))
        texts = [""] * len(lines)
        for at in range(0, len(order), options.batch_size):
            rows = order[at : at + options.batch_size]
            batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt").to(options.device)
            found = model.generate(**batch, num_beams=options.beam_size, max_new_tokens=options.max_new_tokens)
            for row, text in zip(rows, tokenizer.batch_decode(found.cpu(), skip_special_tokens=True), strict=True):
                texts[row] = text
        return texts

    translate(lines)  # once beforehand, as the last of several passes of nmt is measured
    started = time.perf_counter()
    texts = translate(lines)
    seconds = time.perf_counter() - started
    print(f"{len(lines) / seconds:,.1f} sentences/s")
    if options.reference:
        references = Path(options.reference).read_text("utf-8").splitlines()
        print(sacrebleu.corpus_bleu(texts, [references]))


if __name__ == "__main__":
    main()
