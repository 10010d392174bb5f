// Places orders through the JSON API and follows every order on the page until it is shipped.
"use strict";

const QUICK = 300; // ms between two looks at a young order
const CALM = 2000; // and at one that takes its time
const PATIENCE = 10000; // ms after which an order counts as slow

const list = document.getElementById("orders");
const api = list.dataset.api;

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Error("The shop does not answer. Is it running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `The shop answered ${response.status}.`);
  return answer;
}

function show(element, order) {
  element.dataset.status = order.status;
  element.querySelector(".order-what").textContent = `${order.quantity} × ${order.product}`;
  element.querySelector(".order-total").textContent = `€${order.total}`;
  for (const step of element.querySelectorAll("[data-step]")) {
    step.toggleAttribute("aria-current", step.dataset.step === order.status);
  }
  const fact = document.querySelector('[data-fact="invoice"]');
  if (fact && order.invoice) fact.textContent = order.invoice;
}

async function follow(element) {
  const note = element.querySelector(".order-note");
  const begun = Date.now();
  while (element.isConnected && element.dataset.status !== "shipped") {
    const slow = Date.now() - begun > PATIENCE;
    try {
      show(element, await ask(`${api}/${element.dataset.order}`));
      note.textContent = slow && element.dataset.status !== "shipped" ? "Taking longer than usual…" : "";
    } catch (error) {
      note.textContent = error.message;
    }
    await new Promise((resume) => setTimeout(resume, slow ? CALM : QUICK));
  }
}

function add(id, status) {
  const element = document.getElementById("new-order").content.firstElementChild.cloneNode(true);
  element.dataset.order = id;
  element.dataset.status = status;
  const link = element.querySelector(".order-link");
  link.textContent = `Order ${id}`;
  link.href = `/orders/${id}`;
  list.prepend(element);
  while (list.children.length > Number(list.dataset.most)) list.lastElementChild.remove();
  document.getElementById("no-orders").hidden = true;
  element.scrollIntoView({ block: "nearest", behavior: "smooth" });
  follow(element);
}

async function place(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const button = form.querySelector("button");
  const problem = document.getElementById("problem");
  button.disabled = true;
  problem.hidden = true;
  try {
    const body = JSON.stringify({ sku: form.elements.sku.value, quantity: Number(form.elements.quantity.value) });
    const order = await ask(api, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    add(order.id, order.status);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    problem.scrollIntoView({ block: "nearest" });
  } finally {
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form.buy")) form.addEventListener("submit", place);
for (const element of list.children) follow(element);
