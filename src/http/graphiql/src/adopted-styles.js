// What lets the page do without 'unsafe-inline' in `style-src`: a policy forbids <style> elements and style
// attributes in markup, but not style sheets and declarations that a script makes as objects. build.mjs puts
// these two in where the libraries would do the forbidden.

// Stands in for a <style> element, as far as Monaco uses one.
class AdoptedStyle {
  #root;
  #text = '';
  sheet = new CSSStyleSheet();

  constructor(root) {
    this.#root = root;
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, this.sheet];
  }

  get textContent() {
    return this.#text;
  }

  set textContent(css) {
    this.#text = css;
    this.sheet.replaceSync(css);
  }

  get innerText() {
    return this.#text;
  }

  set innerText(css) {
    this.textContent = css;
  }

  remove() {
    this.#root.adoptedStyleSheets = this.#root.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet);
  }
}

// A style sheet that reaches `container`: the document's, unless the container stands in a shadow tree.
export function adoptStyle(container) {
  const root = container.getRootNode();
  return new AdoptedStyle(root instanceof ShadowRoot ? root : document);
}

// Sets `html` as the content of `element`, its style attributes through the object model.
export function setHtml(element, html) {
  element.innerHTML = withStylesSetAside(html);
  for (const child of element.children) applyStyles(child);
}

// The same for markup that follows `element`, which is the last of its siblings.
export function insertHtmlAfter(element, html) {
  element.insertAdjacentHTML('afterend', withStylesSetAside(html));
  for (let added = element.nextElementSibling; added; added = added.nextElementSibling) applyStyles(added);
}

// Only within tags: the text of a line may well contain ` style="`, but never an unescaped angle bracket.
function withStylesSetAside(html) {
  return String(html).replace(/<[^<>]*>/g, (tag) => tag.replace(' style="', ' data-style="'));
}

function applyStyles(element) {
  applyStyle(element);
  for (const inner of element.querySelectorAll('[data-style]')) applyStyle(inner);
}

function applyStyle(element) {
  const declarations = element.getAttribute('data-style');
  if (declarations === null) return;
  element.style.cssText = declarations;
  element.removeAttribute('data-style');
}
