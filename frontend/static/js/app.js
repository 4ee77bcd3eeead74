// Starts the module each part of the page asks for with data-module. Knows the names of the
// modules and nothing of what they do. Without this file every page still reads. Once all have
// started, <html> carries data-ready: from then on every key and button answers.

import { init as initKeys } from "./keys.js";
import { init as initStrips } from "./token_strip.js";

const MODULES = {
  concept: () => import("./concept.js"),
  contexts: () => import("./contexts.js"),
  feature_map: () => import("./feature_map.js"),
  fold: () => import("./fold.js"),
  histogram_mark: () => import("./histogram_mark.js"),
  jump: () => import("./jump.js"),
  list: () => import("./list.js"),
  live_form: () => import("./live_form.js"),
  run: () => import("./run.js"),
  runs: () => import("./runs.js"),
  star: () => import("./star.js"),
  steer: () => import("./steer.js"),
  test_box: () => import("./test_box.js"),
  theme: () => import("./theme.js"),
  token_effect: () => import("./token_effect.js"),
  try_context: () => import("./try_context.js"),
  whole_context: () => import("./whole_context.js"),
};

const started = [...document.querySelectorAll("[data-module]")].map(async (root) => {
  const module = await MODULES[root.dataset.module]();
  module.init(root); // what a module goes on to load is its own affair
});
initKeys(document);
initStrips(document);
Promise.all(started).finally(() => {
  document.documentElement.dataset.ready = "";
});
