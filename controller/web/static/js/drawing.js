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
  const focused = target.contains(document.activeElement) ? document.activeElement : null;
  hold(target, [children()].flat(3).filter(Boolean));
  if (focused?.id && !focused.isConnected) document.getElementById(focused.id)?.focus({ preventScroll: true });
}

/** Make `wanted`, texts or nodes, the children of `target`; what has a name is looked for further down too. */
function hold(target, wanted) {
  const there = [...target.childNodes];
  for (const child of wanted) {
    const node = typeof child === "string" ? document.createTextNode(child) : child;
    const place = nameOf(node) ? there.findIndex((before) => alike(before, node)) : there.length && alike(there[0], node) ? 0 : -1;
    if (place < 0) {
      target.insertBefore(node, there[0] ?? null);
      continue;
    }
    there.splice(0, place).forEach((before) => before.remove());
    become(there.shift(), node);
  }
  there.forEach((before) => before.remove());
}

/** Which button, field, panel or line of a list it is. */
const nameOf = ({ id, dataset }) => (id || Object.keys(dataset ?? {}).length ? JSON.stringify([id, dataset]) : "");

/** Whether one may become the other: the same kind of thing, and not another by name. */
const alike = (before, node) => before.nodeName === node.nodeName && nameOf(before) === nameOf(node);

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
