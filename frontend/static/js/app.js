// Starts the module each part of the page asks for with data-module. Knows the names of the
// modules and nothing of what they do. Without this file every page still reads.

import { init as initKeys } from "./keys.js";
import { init as initStrips } from "./token_strip.js";

const MODULES = {
  contexts: () => import("./contexts.js"),
  feature_map: () => import("./feature_map.js"),
  jump: () => import("./jump.js"),
  live_form: () => import("./live_form.js"),
  runs: () => import("./runs.js"),
  steer: () => import("./steer.js"),
  test_box: () => import("./test_box.js"),
  theme: () => import("./theme.js"),
};

for (const root of document.querySelectorAll("[data-module]")) {
  MODULES[root.dataset.module]().then((module) => module.init(root));
}
initKeys(document);
initStrips(document);
