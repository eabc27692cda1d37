"""What Krita shows: two actions, a settings dialog, and the fills as layers. Runs in Krita alone."""

from __future__ import annotations

import queue
import threading
from typing import Any

from krita import Extension, Krita
from PyQt5.QtCore import QRect, Qt, QTimer
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QMessageBox, QProgressDialog, QSpinBox

from . import pixels
from .client import ADDRESS, Fill, Problem, Request

GROUP, TITLE = "manyfill_krita", "Manyfill"  # of Krita's settings; of windows
AROUND = 512  # pixels of the photo, at least, that the server sees on each side of the selection
LOOK = 100  # milliseconds between looks whether a fill has come
DEPTHS = {"U8": 8, "U16": 16}


def setting(name: str, otherwise: str) -> str:
    """What the user chose, or what holds for who chose nothing."""
    return str(Krita.instance().readSetting(GROUP, name, otherwise))


class Manyfill(Extension):  # type: ignore[misc]
    """The plug-in."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._job: Job | None = None

    def setup(self) -> None:
        """Krita calls this once; there is nothing to prepare."""

    def createActions(self, window: Any) -> None:  # noqa: N802  (Krita's name)
        """Krita calls this for every window."""
        for name, text, do in (
            ("manyfill_fill", "Fill Selection with Manyfill", self.fill),
            ("manyfill_settings", "Manyfill Settings...", self.settings),
        ):
            window.createAction(name, text, "tools/scripts").triggered.connect(do)

    def fill(self) -> None:
        """Fill the selection."""
        try:
            self._job = Job(int(setting("fills", "4")))
        except Problem as problem:
            tell(str(problem))

    def settings(self) -> None:
        """Ask for them, and keep them."""
        dialog = QDialog(Krita.instance().activeWindow().qwindow())
        dialog.setWindowTitle(TITLE)
        form = QFormLayout(dialog)
        fills = QSpinBox()
        fills.setRange(1, 10)
        fills.setValue(int(setting("fills", "4")))
        address, token = QLineEdit(setting("address", ADDRESS)), QLineEdit(setting("token", ""))
        token.setEchoMode(QLineEdit.Password)
        buttons = QDialogButtonBox(QDialogButtonBox.Ok | QDialogButtonBox.Cancel)
        buttons.accepted.connect(dialog.accept)
        buttons.rejected.connect(dialog.reject)
        for label, field in (("Fills", fills), ("Server", address), ("Token", token)):
            form.addRow(label, field)
        form.addRow(buttons)
        if dialog.exec_():
            for name, value in (("fills", str(fills.value())), ("address", address.text()), ("token", token.text())):
                Krita.instance().writeSetting(GROUP, name, value)


class Job:
    """One selection on its way: asked for in a thread, its fills become layers here, on Krita's own thread."""

    def __init__(self, n: int) -> None:
        self.document = document = Krita.instance().activeDocument()
        if document is None:
            raise Problem("Open a picture first.")
        selection = document.selection()
        if selection is None:
            raise Problem("Select what to fill first, then call this again.")
        self.depth = DEPTHS.get(document.colorDepth(), 0)
        if document.colorModel() != "RGBA" or not self.depth:
            raise Problem(
                "Manyfill fills RGB pictures of 8 or 16 bits. Convert yours: Image ▸ Convert Image Color Space."
            )
        whole = QRect(0, 0, document.width(), document.height())
        self.box = QRect(selection.x(), selection.y(), selection.width(), selection.height()) & whole
        self.hole = pixels.cut(bytes(selection.pixelData(*self.box.getRect()))) if not self.box.isEmpty() else b""
        if not any(self.hole):
            raise Problem("The selection holds no pixel of the picture by half or more. Select what to fill.")
        margin = max(AROUND, self.box.width(), self.box.height())
        self.seen = self.box.adjusted(-margin, -margin, margin, margin) & whole
        photo, mask = self._pictures(selection)
        self.layers: list[Any] = []  # best first
        self.count, self.n = 0, n
        self.request = Request(setting("address", ADDRESS), setting("token", ""))
        self.found: queue.Queue[Fill | Problem | None] = queue.Queue()
        threading.Thread(target=self._ask, args=(photo, mask), daemon=True).start()
        self.shown = QProgressDialog(self._label(), "Cancel", 0, n, Krita.instance().activeWindow().qwindow())
        self.shown.setWindowTitle(TITLE)
        self.shown.setWindowModality(Qt.NonModal)
        self.shown.setMinimumDuration(0)
        self.shown.canceled.connect(self.request.cancel)
        self.shown.setValue(0)
        self.timer = QTimer()
        self.timer.timeout.connect(self._look)
        self.timer.start(LOOK)

    def _pictures(self, selection: Any) -> tuple[bytes, bytes]:
        """What the server gets: the picture around the selection, as it is shown, and the hole in it."""
        x, y, wide, tall = self.seen.getRect()
        hole = pixels.cut(bytes(selection.pixelData(x, y, wide, tall)))
        shown = bytes(self.document.pixelData(x, y, wide, tall))
        return pixels.photo_png(shown, hole, wide, tall, self.depth), pixels.mask_png(hole, wide, tall)

    def _ask(self, photo: bytes, mask: bytes) -> None:
        try:
            for fill in self.request.fills(photo, mask, n=self.n):
                self.found.put(fill)
            self.found.put(None)
        except Problem as problem:
            self.found.put(problem)

    def _look(self) -> None:
        try:
            found = self.found.get_nowait()
        except queue.Empty:
            return
        if isinstance(found, Fill):
            self._add(found)
            self.shown.setLabelText(self._label())
            self.shown.setValue(min(self.count, self.n - 1))
            return
        self.timer.stop()
        self._tidy()
        self.shown.canceled.disconnect()
        self.shown.close()
        if isinstance(found, Problem):
            tell(str(found))

    def _label(self) -> str:
        return f"Fill {self.count + 1} of {self.n} ..."

    def _add(self, fill: Fill) -> None:
        """Its layer: transparent outside the hole; the best is on top and shown, the others are hidden."""
        if not self.layers:
            self._prepare()
        layer = self.layers[self.count]
        self.count += 1
        layer.setName(f"{self.count}: {fill.name}")
        kind = QImage.Format_RGBA64 if self.depth == 16 else QImage.Format_RGBA8888
        image = QImage.fromData(fill.png).copy(self.box.translated(-self.seen.topLeft())).convertToFormat(kind)
        bits = image.constBits()
        bits.setsize(image.sizeInBytes())
        layer.setPixelData(pixels.layer(bytes(bits), self.hole, self.depth), *self.box.getRect())
        layer.setVisible(self.count == 1)
        self.document.refreshProjection()

    def _prepare(self) -> None:
        """The group and a hidden layer for each fill: Krita can add above a layer, but not below the lowest."""
        group = self.document.createGroupLayer("Manyfill")
        self.document.rootNode().addChildNode(group, None)  # on top
        for number in range(self.n, 0, -1):
            layer = self.document.createNode(f"{number}: ...", "paintlayer")
            layer.setVisible(False)
            group.addChildNode(layer, None)
            self.layers.insert(0, layer)

    def _tidy(self) -> None:
        """Take away the layers whose fills did not come: cancelled, or fewer were different enough."""
        for layer in self.layers[self.count :]:
            layer.remove()
        self.document.refreshProjection()


def tell(words: str) -> None:
    """A message to the user."""
    QMessageBox.information(Krita.instance().activeWindow().qwindow(), TITLE, words)
