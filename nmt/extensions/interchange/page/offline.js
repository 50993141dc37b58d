// Keeps the files of the folder, so that the page works without a network. A new export has another version.

// All folders of a server share their caches.
const own = `nmt ${self.registration.scope} `;
const load = fetch("files.json").then((response) => response.json());

self.addEventListener("install", (event) => {
  event.waitUntil(
    load.then(async ({ version, files }) => {
      const requests = ["./", "files.json", ...files].map((file) => new Request(file, { cache: "reload" }));
      await (await caches.open(own + version)).addAll(requests);
      await self.skipWaiting();
    }),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    load.then(async ({ version }) => {
      const others = (await caches.keys()).filter((key) => key.startsWith(own) && key !== own + version);
      await Promise.all(others.map((key) => caches.delete(key)));
      await self.clients.claim();
    }),
  );
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith((async () => { // without files.json, which may be out of reach
    for (const key of (await caches.keys()).filter((each) => each.startsWith(own))) {
      const found = await (await caches.open(key)).match(event.request, { ignoreSearch: true });
      if (found) return found;
    }
    return fetch(event.request);
  })());
});
