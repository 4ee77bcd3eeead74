// Sharing: the address, and what was asked together with what was written, as a file.

export function initShare(details, page) {
  const part = (role) => details.querySelector(`[data-role=${role}]`);
  part("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      part("status").textContent = "The link is in the clipboard; it writes the same texts again.";
    } catch {
      part("status").textContent = "The browser does not allow it: copy the address of this page.";
    }
  });
  part("save").addEventListener("click", () => {
    const link = document.createElement("a");
    const text = JSON.stringify(record(page), null, 1);
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "steering.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// The body of POST /api/steer with its rows, which model and SAEs it is of, and the texts.
function record(page) {
  const { columns, state } = page;
  return {
    address: location.href,
    model: state.model,
    saes: page.edits.map(({ given }) => ({
      id: given.sae,
      name: given.sae_name,
      layer: given.layer,
      sha256: given.sha256,
    })),
    request: { ...page.request(), rows: columns.rows.map((row) => row.strengths) },
    texts: columns.rows.map((row, index) => ({
      column: row.column,
      strengths: row.strengths,
      token_ids: columns.tokens[index].map((token) => token.token_id),
      text: columns.tokens[index].map((token) => token.span.textContent).join(""),
    })),
  };
}
