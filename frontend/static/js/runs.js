// Progress of runs: asks /runs.json every two seconds while the page is visible, and loads the
// page again when a run ends, because what it made is listed there.

const EVERY = 2000;

export function init(section) {
  const shown = new Map(
    [...section.querySelectorAll("[data-run]")].map((item) => [item.dataset.run, item]),
  );
  const poll = async () => {
    if (document.visibilityState === "visible") await refresh(section.dataset.url, shown);
    setTimeout(poll, EVERY);
  };
  setTimeout(poll, EVERY);
}

async function refresh(url, shown) {
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) return;
  const { runs } = await answer.json();
  const active = runs.filter((run) => run.state === "queued" || run.state === "running");
  const known = active.every((run) => shown.has(String(run.id)));
  if (active.length !== shown.size || !known) location.reload();
  for (const run of active) {
    const item = shown.get(String(run.id));
    if (!item) continue;
    item.querySelector("[data-role=message]").textContent = run.message || run.state;
    const bar = item.querySelector("progress");
    if (run.total > 0) bar.value = run.done / run.total;
  }
}
