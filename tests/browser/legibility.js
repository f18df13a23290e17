// Checks of everything that is visible on a page, for page.evaluate(). Each returns what fails, as texts.
({
  // The text nodes, without those of disabled controls, which need no contrast.
  texts() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) {
      const { data, parentElement: element } = walker.currentNode;
      const isVisible = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
      if (data.trim() && isVisible && !element.closest("option, [disabled]")) nodes.push(walker.currentNode);
    }
    return nodes;
  },

  // Texts with a contrast below that of WCAG AA: 4.5 to 1, or 3 to 1 for large text.
  lowContrast() {
    const rgba = (color) => {
      const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
      return [r, g, b, a];
    };
    const blend = ([r, g, b, a], below) => [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const luminance = (color) => {
      const [r, g, b] = color.map((value) => linear(value / 255));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const fromRoot = (element) => (element ? [...fromRoot(element.parentElement), element] : []);

    return this.texts().flatMap((node) => {
      let background = [255, 255, 255];
      let opacity = 1;
      for (const element of fromRoot(node.parentElement)) {
        const style = getComputedStyle(element);
        opacity *= style.opacity;
        background = blend(rgba(style.backgroundColor), background);
      }
      const style = getComputedStyle(node.parentElement);
      const [r, g, b, a] = rgba(style.color);
      const color = blend([r, g, b, a * opacity], background);
      const [dark, light] = [color, background].map(luminance).sort((one, other) => one - other);
      const contrast = (light + 0.05) / (dark + 0.05);
      const size = parseFloat(style.fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
      const { tagName, className } = node.parentElement;
      return contrast < (isLarge ? 3 : 4.5)
        ? [`${node.data.trim()} (${tagName} ${className}): ${contrast.toFixed(2)}, ${style.color} on ${background}`]
        : [];
    });
  },

  // Words that are broken into two lines. A path may be broken at its slashes, and a name at its hyphens.
  brokenWords() {
    return this.texts().flatMap((node) =>
      [...node.data.matchAll(/[^\s\u200b/-]+/g)].flatMap((word) => {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
        return lines.size > 1 ? [word[0]] : [];
      }),
    );
  },

  // Elements that are wider than the screen, unless they scroll in a box of their own.
  tooWide() {
    const isInBox = (element) =>
      element.parentElement &&
      (getComputedStyle(element.parentElement).overflowX !== "visible" || isInBox(element.parentElement));
    const wide = [...document.querySelectorAll("body *")].filter(
      (element) =>
        element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1 && !isInBox(element),
    );
    const page = document.documentElement.scrollWidth > innerWidth ? ["the page"] : [];
    return [...page, ...wide.map((element) => element.outerHTML.slice(0, 80))];
  },
})
