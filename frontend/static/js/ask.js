// One question as JSON, one answer as JSON. Throws Refused with the server's own sentence, and what
// fetch throws, AbortError included.

import { Refused } from "./sse.js";

export async function ask(url, body, signal) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const answer = await response.json().catch(() => ({ detail: response.statusText }));
  if (!response.ok) throw new Refused(answer.detail);
  return answer;
}
