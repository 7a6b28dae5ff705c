"""What a page looks like to whoever sees little, measured in the browser."""

from __future__ import annotations

from typing import Any

#: The least contrast of text with what is behind it, and of a field's border.
TEXT, BORDER = 4.5, 3.0

_MEASURE = """
([text, border]) => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const probe = document.createElement("canvas").getContext("2d");
  const rgba = (color) => {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = color;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) =>
    [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const behind = (element) => {
    if (!element) return dark ? [18, 18, 18] : [255, 255, 255];
    const ground = rgba(getComputedStyle(element).backgroundColor);
    if (ground[3] === 1) return ground;
    return over(ground, behind(element.parentElement));
  };
  const light = (color) => {
    const [r, g, b] = color.map((c) => {
      const s = c / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (color, ground) => {
    const [a, b] = [light(over(rgba(color), ground)), light(ground)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const words = node.textContent.trim();
    const element = node.parentElement;
    if (!words || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName)) continue;
    if (!element.checkVisibility({ checkVisibilityCSS: true })) continue;
    const found = contrast(getComputedStyle(element).color, behind(element));
    if (found < text) faint.push(`${found.toFixed(2)}: ${words.slice(0, 40)}`);
  }
  for (const field of document.querySelectorAll("input:not([type=hidden])")) {
    if (!field.checkVisibility() || field.checked) continue;
    const color = getComputedStyle(field).borderTopColor;
    const found = contrast(color, behind(field.parentElement));
    if (found < border) faint.push(`${found.toFixed(2)}: border of ${field.name}`);
  }
  return faint;
}
"""


def find_faint(page: Any) -> list[str]:
    """Find each text and each field whose contrast is too low, with the contrast."""
    found: list[str] = page.evaluate(_MEASURE, [TEXT, BORDER])
    return found


def find_overflow(page: Any) -> int:
    """Find by how many pixels the page is wider than the window."""
    wider: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wider
