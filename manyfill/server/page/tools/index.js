// Every tool, in the order of the buttons.

import "./brush.js";
import "./eraser.js";
import "./rectangle.js";
import "./lasso.js";
import "./select.js";
import "./extend.js";
