"use strict";
// Light or dark: as the system has it, until the button is used.
const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The way back from a number: the runs that it is of, and what they were made of, in order.
const dialog = document.getElementById("way");
function showWay(address) {
  const figure = address.slice(0, address.indexOf(".json:"));
  const history = JSON.parse(document.getElementById("history-" + figure).textContent);
  const runs = history.runs[address.slice(address.indexOf(":") + 1)] || [];
  document.getElementById("way-title").textContent = address + ": made of " + runs.length + " runs";
  document.getElementById("way-command").textContent = "make explain PRESET=" + history.preset + " NUMBER=" + address;
  const names = new Map();
  for (const [name, id] of runs) names.set(id, (names.get(id) || []).concat(name));
  const order = [history.report], seen = new Set(order);
  const follow = (ids) => { for (const id of ids) if (!seen.has(id)) { seen.add(id); order.push(id); } };
  follow(names.keys());
  for (let next = 1; next < order.length; next++) {
    const record = history.records[order[next]];
    if (record) follow(record.inputs);
  }
  const list = document.getElementById("way-records");
  list.replaceChildren();
  for (const id of order) {
    const record = history.records[id];
    if (!record) continue;
    const part = element("details");
    part.append(element("summary", record.title + (names.has(id) ? " (" + names.get(id).join(", ") + ")" : "")));
    part.append(element("pre", record.lines.join("\n")));
    list.append(part);
  }
  for (const environment of history.environments) {
    const part = element("details");
    part.append(element("summary", environment[0]), element("pre", environment.slice(1).join("\n")));
    list.append(part);
  }
  dialog.showModal();
}
for (const row of document.querySelectorAll("tr[data-address]")) {
  const button = element("button", "way back");
  button.type = "button";
  button.className = "way";
  button.title = "Settings, seeds, digests and code behind this line: " + row.dataset.address;
  row.lastElementChild.replaceChildren(button);
  button.addEventListener("click", () => showWay(row.dataset.address));
  for (const number of row.querySelectorAll("td.r")) {
    number.title = button.title;
    number.addEventListener("click", () => showWay(row.dataset.address));
  }
}

// Every observation, to be read out: a list a column that has few values, and the lines that agree.
function table(names, rows) {
  const made = element("table"), head = element("tr"), body = element("tbody");
  for (const name of names) head.append(element("th", name));
  for (const row of rows) {
    const line = element("tr");
    row.forEach((text) => {
      const cell = element("td", text);
      if (text !== "" && !isNaN(text)) cell.className = "r";
      line.append(cell);
    });
    body.append(line);
  }
  const top = element("thead");
  top.append(head);
  made.append(top, body);
  return made;
}
for (const details of document.querySelectorAll("details.observations")) {
  details.addEventListener("toggle", () => {
    const [names, ...rows] = details.querySelector("script").textContent.trim().split("\n").map((line) => line.split(","));
    const choices = [], frame = element("div");
    frame.className = "table";
    frame.tabIndex = 0;
    const show = () => frame.replaceChildren(table(names, rows.filter((row) =>
      choices.every(([column, list]) => list.value === "" || row[column] === list.value))));
    names.forEach((name, column) => {
      const values = [...new Set(rows.map((row) => row[column]))];
      if (values.length < 2 || values.length > 24 || values.length * 3 > rows.length) return;
      const label = element("label", name + " "), list = element("select");
      list.append(new Option("all", ""), ...values.filter((value) => value !== "").map((value) => new Option(value, value)));
      list.addEventListener("change", show);
      label.append(list);
      details.append(label);
      choices.push([column, list]);
    });
    details.append(frame);
    show();
  }, { once: true });
}
