// The page under `nmt serve`: sentences and models are chosen here, and the address keeps them.
function live(page) {
  const { $, element, data, state, show } = page;
  let turn = 0;
  const model = () => data.models[state.model].name;

  async function call(path, body) {
    const headers = body ? { "Content-Type": "application/json" } : {}, key = new TextEncoder().encode($("key").value);
    if (key.length) headers.Authorization = `Bearer ${String.fromCharCode(...key)}`;  // a header has bytes
    const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) }).catch(() => {
      throw new Error("The server does not answer. Check the connection, and whether it is running.");
    });
    const found = await answer.json().catch(() => ({ error: `${answer.status} ${answer.statusText}` }));
    if (!answer.ok) throw new Error(found.error || answer.statusText);
    return found;
  }

  page.ask = async (interventions) => (await call("v1/intervene", { text: data.sentences[0].text, model: model(), interventions })).results;
  const chosen = () => [...$("models").querySelectorAll("input:checked")].map(({ value }) => value);
  // After the "#", which browsers do not send to servers.
  const address = () => `#${new URLSearchParams([["text", $("text").value.trim()], ...chosen().map((name) => ["model", name])])}`;

  async function ask() {
    const text = $("text").value.trim(), names = chosen(), own = ++turn;
    $("ask-status").textContent = "";
    if (!text) { $("results").hidden = $("copy").hidden = true; return; }
    if (!names.length) { $("ask-status").textContent = "Choose a model."; return; }
    $("ask-status").textContent = "computing …";
    try {
      const answers = await Promise.all(names.map((name) => call("v1/inspect", { text, model: name })));
      if (own !== turn) return;
      data.models.splice(0, Infinity, ...answers.map((answer) => answer.model));
      data.sentences.splice(0, Infinity, { text, views: answers.map((answer) => answer.view) });
      Object.assign(state, { model: 0, heads: names.map(() => 0) });
      $("results").hidden = $("copy").hidden = false;
      show(0);
      $("ask-status").textContent = "";
      document.title = `nmt: ${text}`;
    } catch (error) {
      if (own === turn) $("ask-status").textContent = error.message;
    }
  }

  function read() {
    const wanted = new URLSearchParams(location.hash.slice(1)), names = wanted.getAll("model");
    $("text").value = wanted.get("text") || "";
    const inputs = [...$("models").querySelectorAll("input")];
    inputs.forEach((input, index) => { input.checked = names.length ? names.includes(input.value) : index === 0; });
    ask();
  }

  async function start() {
    try {
      const [{ models }, settings] = await Promise.all([call("v1/models"), call("frontend/settings")]);
      $("models").append(...models.map(({ name }) => {
        const input = Object.assign(element("input"), { type: "checkbox", value: name });
        return element("label", [input, name]);
      }));
      $("models").hidden = models.length < 2;
      $("key-label").hidden = !settings.apiKeys;
    } catch (error) { $("ask-status").textContent = error.message; return; }
    read();
  }

  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    if (address() !== location.hash) history.pushState(null, "", address());
    ask();
  });
  $("copy").addEventListener("click", async () => {
    const link = new URL(address(), location.href).href;
    try { await navigator.clipboard.writeText(link); $("ask-status").textContent = "The link is copied."; } catch { $("ask-status").textContent = link; }
  });
  addEventListener("popstate", read);
  start();
}
