// Puts the page together.

import "./stage.js";
import "./tools/index.js";
import "./arrivals.js";
import "./keys.js";
import { startButtons } from "./buttons.js";
import { startKeeping } from "./keep.js";
import { startOffline } from "./offline.js";
import { connect } from "./problems.js";
import { render } from "./render.js";
import { spell } from "./spelling.js";
import { state, subscribe } from "./state.js";
import { startLanguage } from "./strings.js";
import { pick } from "./strokes.js";

state.token = sessionStorage.getItem("manyfill.token");
startLanguage();
startButtons();
spell();
subscribe(render);
render();
await startKeeping();
await connect();
if (state.server?.sam && !state.doc.base) pick("select"); // a click is all it takes
startOffline();
document.body.classList.add("ready");
