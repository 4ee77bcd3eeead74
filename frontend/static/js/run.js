// One run, live: asks its JSON every second while the page is visible, fetches the page again when
// something has moved, and swaps its live part. The server renders; nothing is rendered twice.

const EVERY = 1000;

export function init(first) {
  if (!isActive(first.dataset.state)) return;
  let region = first;
  let seen = "";
  const poll = async () => {
    if (document.visibilityState === "visible") {
      const run = await read(region);
      if (run && (run.state !== region.dataset.state || String(run.cancel_requested) !== region.dataset.cancel)) {
        location.reload(); // the buttons and the result change, too
        return;
      }
      const now = run && JSON.stringify([run.done, run.message, run.points.length]);
      if (run && now !== seen) region = await swap(region);
      seen = now || seen;
    }
    setTimeout(poll, EVERY);
  };
  setTimeout(poll, EVERY);
}

function isActive(state) {
  return state === "queued" || state === "running";
}

async function read(region) {
  const after = region.dataset.last ? `?after=${encodeURIComponent(region.dataset.last)}` : "";
  const answer = await fetch(region.dataset.url + after).catch(() => null);
  return answer?.ok ? answer.json() : null;
}

async function swap(region) {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return region;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(region.id);
  if (!fresh || fresh.dataset.state !== region.dataset.state) return region;
  const adopted = document.adoptNode(fresh);
  region.replaceWith(adopted);
  return adopted;
}
