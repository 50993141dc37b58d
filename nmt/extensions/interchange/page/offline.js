// Keeps the files of the folder, so that the page works without a network. A new export has another version.

const load = fetch("files.json").then((response) => response.json());

self.addEventListener("install", (event) => {
  event.waitUntil(
    load.then(async ({ version, files }) => {
      const requests = ["./", "files.json", ...files].map((file) => new Request(file, { cache: "reload" }));
      await (await caches.open(version)).addAll(requests);
      await self.skipWaiting();
    }),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    load.then(async ({ version }) => {
      const others = (await caches.keys()).filter((key) => key.startsWith("nmt-") && key !== version);
      await Promise.all(others.map((key) => caches.delete(key)));
      await self.clients.claim();
    }),
  );
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(caches.match(event.request, { ignoreSearch: true }).then((found) => found ?? fetch(event.request)));
});
