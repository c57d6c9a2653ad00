// Drawing what has changed: what stands on the page becomes what it should be, and stays where it is.

/** Have one listener for a type of event; another may take its place. */
export function hear(element, type, listener) {
  element.heard ??= {};
  if (!(type in element.heard)) element.addEventListener(type, (event) => element.heard[type]?.(event));
  element.heard[type] = listener;
}

/**
 * Draw `children()` into `target` only when `model` has changed. What stands there becomes what it should be, instead of
 * being put there anew: a click that has begun ends on the same button, and focus and caret stay.
 */
export function draw(target, model, children) {
  const key = JSON.stringify(model);
  if (target.drawn === key) return;
  target.drawn = key;
  hold(target, [children()].flat(3).filter(Boolean));
}

/** Make `wanted` the children of `target`, text or nodes. */
function hold(target, wanted) {
  const there = [...target.childNodes];
  wanted.forEach((child, place) => {
    const node = typeof child === "string" ? document.createTextNode(child) : child;
    const before = there[place];
    if (!before) target.append(node);
    else if (alike(before, node)) become(before, node);
    else before.replaceWith(node);
  });
  there.slice(wanted.length).forEach((node) => node.remove());
}

/** Whether one may become the other: never another button, field, panel or line of a list, told by id and data. */
const alike = (before, node) => before.nodeName === node.nodeName && before.id === node.id && JSON.stringify(before.dataset) === JSON.stringify(node.dataset);

function become(before, node) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (before.data !== node.data) before.data = node.data;
    return;
  }
  for (const { name } of [...before.attributes]) if (!node.hasAttribute(name)) before.removeAttribute(name);
  for (const { name, value } of node.attributes) if (before.getAttribute(name) !== value) before.setAttribute(name, value);
  for (const type of Object.keys({ ...before.heard, ...node.heard })) hear(before, type, node.heard?.[type]);
  before.drawn = node.drawn;
  hold(before, [...node.childNodes]);
  if (node.nodeName === "INPUT") Object.assign(before, before.value === node.value ? {} : { value: node.value }, { checked: node.checked });
}
