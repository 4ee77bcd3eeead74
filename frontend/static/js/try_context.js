// Gives every opened context a button that puts its exact text into the test box. The page shows
// signs for what is invisible; the JSON has the tokens as they are.

export function init(halves) {
  halves.addEventListener("toggle", ({ target }) => target.open && offer(target), true);
}

function offer(details) {
  const full = details.querySelector(".context-full");
  if (!full || full.querySelector("[data-role=try]")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small";
  button.dataset.role = "try";
  button.textContent = "Read it in the test box";
  button.addEventListener("click", async () => {
    const field = document.querySelector("#test-text");
    field.value = await textOf(details);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.scrollIntoView({ block: "center" });
    field.focus();
  });
  full.append(button);
}

async function textOf(details) {
  const { url, special } = details.closest("[data-url]").dataset;
  const list = details.closest("ol");
  const view = await (await fetch(url)).json();
  const pole = view.poles[details.closest(".half-pos") ? "+" : "-"];
  const contexts = list.dataset.by === "mean" ? pole.contexts_by_mean : pole.contexts;
  const { tokens, token_ids } = contexts[[...list.children].indexOf(details.closest("li"))];
  // The model puts its special token before every text by itself.
  const isSpecial = (place) => JSON.parse(special).includes(token_ids[place]);
  const kept = tokens.filter((_, place) => !isSpecial(place));
  return kept.join("").trim().toWellFormed();
}
