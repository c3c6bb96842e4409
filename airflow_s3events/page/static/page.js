// Fetches the parts of the page that take longer than the first paint, and carries out what is asked for.
// What the server sends is escaped there; nothing here makes HTML of text.
"use strict";

const csrf = document.body.dataset.csrf;

async function ask(path, body) {
  const options = { credentials: "same-origin", headers: { Accept: "text/html" } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.headers["X-CSRFToken"] = csrf;
    options.body = JSON.stringify(body);
  }
  try {
    const answer = await fetch(path, options);
    const type = answer.headers.get("Content-Type") ?? "";
    const text = await answer.text();
    // A page of its own (a login, an error of Airflow) is not a part of this one.
    if (type.startsWith("text/html") && !/^\s*<!doctype/i.test(text)) {
      return { ok: answer.ok, html: text };
    }
    return { ok: false, problem: `Airflow answers ${answer.status}. Reload the page, and log in if you are asked to.` };
  } catch {
    return { ok: false, problem: "Airflow does not answer." };
  }
}

function show(place, answer) {
  if (answer.html !== undefined) {
    place.innerHTML = answer.html;
    return;
  }
  const note = document.createElement("p");
  note.className = "note error";
  note.setAttribute("role", "alert");
  note.textContent = answer.problem;
  place.replaceChildren(note);
}

async function load(place) {
  const answer = await ask(place.dataset.load);
  // The last events are there already, only without the states of their runs.
  if (answer.ok || place.id !== "events") {
    show(place, answer);
  }
  place.setAttribute("aria-busy", "false");
}

async function look(button) {
  const place = button.closest(".letters").querySelector(".letters-found");
  button.disabled = true;
  place.textContent = "Looking…";
  show(place, await ask("dead-letters", { queue: button.dataset.letters }));
  button.disabled = false;
  button.focus();
}

const chosen = (form) => [...form.querySelectorAll("input[name=id]:checked")].map((box) => box.value);

function count(form) {
  const submit = form.querySelector("button[type=submit]");
  const number = chosen(form).length;
  submit.disabled = number === 0;
  submit.textContent = number === 0 ? "Redrive…" : `Redrive ${number}…`;
}

function confirmed(text) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

async function redrive(form) {
  const ids = chosen(form);
  const letters = ids.length === 1 ? "1 dead letter goes" : `${ids.length} dead letters go`;
  const text = `${letters} back to ${form.dataset.queue}, and ${ids.length === 1 ? "its run starts" : "their runs start"} again.`;
  if (ids.length === 0 || !(await confirmed(text))) {
    return;
  }
  const place = form.parentElement.querySelector(".redriven");
  form.querySelector("button[type=submit]").disabled = true;
  place.textContent = "Sending…";
  const answer = await ask("redrive", { queue: form.dataset.queue, ids });
  show(place, answer);
  if (answer.ok) {
    for (const box of form.querySelectorAll("input[name=id]:checked")) {
      box.closest("tr").remove();
    }
  }
  count(form);
  place.focus();
}

async function search(form) {
  const place = document.getElementById("found");
  place.textContent = "Asking…";
  show(place, await ask(`search?${new URLSearchParams({ uri: form.elements.uri.value })}`));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-letters]");
  if (button) {
    look(button);
  }
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form.redrive");
  if (!form) {
    return;
  }
  if (event.target.matches("[data-all]")) {
    for (const box of form.querySelectorAll("input[name=id]")) {
      box.checked = event.target.checked;
    }
  }
  count(form);
});

document.addEventListener("submit", (event) => {
  if (event.target.matches("form.redrive")) {
    event.preventDefault();
    redrive(event.target);
  } else if (event.target.id === "search") {
    event.preventDefault();
    search(event.target);
  }
});

for (const place of document.querySelectorAll("[data-load]")) {
  load(place);
}
