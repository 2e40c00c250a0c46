"use strict";
// Shows /openapi.json. Texts of the document are put in as text, never as HTML.

const methods = ["get", "post", "put", "patch", "delete"];

function element(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== "") e.append(child);
  return e;
}

// line shows what stands in backquotes as code.
function line(text) {
  return (text || "").trim().replace(/\s*\n\s*/g, " ").split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

// prose takes paragraphs apart.
function prose(text) {
  return (text || "").trim().split(/\n\s*\n/).filter(Boolean).map((paragraph) => element("p", {}, line(paragraph)));
}

function resolve(api, value) {
  while (value && value.$ref) value = value.$ref.slice(2).split("/").reduce((at, name) => at[name], api);
  return value || {};
}

// shape writes a schema as one reads JSON, with types in place of values.
function shape(api, schema, depth, seen) {
  const name = schema && schema.$ref;
  if (name && seen.includes(name)) return name.split("/").pop();
  const s = resolve(api, schema);
  const inside = name ? seen.concat(name) : seen;
  const pad = "  ".repeat(depth + 1);
  const or = s.nullable ? " or null" : "";
  for (const join of ["oneOf", "anyOf"]) if (s[join]) return s[join].map((one) => shape(api, one, depth, inside)).join(" or ");
  if (s.allOf) return s.allOf.map((one) => shape(api, one, depth, inside)).join(" and ") + or;
  if (s.type === "array") return "[" + shape(api, s.items, depth, inside) + ", …]" + or;
  if (s.properties) {
    const required = s.required || [];
    const lines = Object.entries(s.properties).map(([key, value]) =>
      pad + key + (required.includes(key) ? "" : "?") + ": " + shape(api, value, depth + 1, inside));
    return "{\n" + lines.join("\n") + "\n" + "  ".repeat(depth) + "}" + or;
  }
  if (s.additionalProperties && s.additionalProperties !== true) return "{<name>: " + shape(api, s.additionalProperties, depth, inside) + "}" + or;
  if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(" | ") + or;
  return (s.type || "any") + (s.format ? " (" + s.format + ")" : "") + bounds(s) + or;
}

// bounds are what a value may be, and what it is where none is given.
function bounds(s) {
  const parts = [];
  if (s.minimum !== undefined) parts.push("from " + s.minimum);
  if (s.maximum !== undefined) parts.push("to " + s.maximum);
  if (s.maxLength !== undefined) parts.push("at most " + s.maxLength + " characters");
  const range = parts.length ? ", " + parts.join(" ") : "";
  return range + (s.default !== undefined ? ", else " + JSON.stringify(s.default) : "");
}

function parameters(api, item, operation) {
  const all = (item.parameters || []).concat(operation.parameters || []).map((p) => resolve(api, p));
  if (!all.length) return null;
  return [element("h4", {}, "Parameters"), element("table", {}, all.map((p) => element("tr", {},
    element("td", {}, element("code", {}, p.name)), element("td", {}, p.in + (p.required ? ", required" : "")),
    element("td", {}, element("code", {}, shape(api, p.schema, 0, []))), element("td", {}, line(p.description)))))];
}

function body(api, operation) {
  const request = resolve(api, operation.requestBody);
  if (!request.content) return null;
  return Object.entries(request.content).map(([type, media]) => {
    const examples = media.example !== undefined ? { example: { value: media.example } } : media.examples || {};
    return [element("h4", {}, "Body (" + type + (request.required ? ")" : ", optional)")),
      element("details", {}, element("summary", {}, "Schema"), element("pre", {}, shape(api, media.schema, 0, []))),
      Object.entries(examples).map(([name, example]) => [name === "example" ? null : element("p", {}, name),
        element("pre", {}, JSON.stringify(resolve(api, example).value, null, 2))])];
  }).flat(3);
}

function responses(api, operation) {
  return [element("h4", {}, "Answers"), Object.entries(operation.responses || {}).sort().map(([status, response]) => {
    const r = resolve(api, response);
    const media = Object.values(r.content || {})[0];
    const said = [element("code", {}, status), " ", ...line(r.description)];
    if (!media || status[0] !== "2") return element("p", { class: "answer" }, said);
    return element("details", {}, element("summary", {}, said), element("pre", {}, shape(api, media.schema, 0, [])));
  })].flat();
}

function access(operation) {
  const needs = (operation.security || []).map((one) => Object.entries(one).map(([scheme, scopes]) =>
    scheme === "replyToken" ? "the reply token of the call" : scopes.length ? "scope " + scopes.join(", ") : "an access token").join(" and "));
  return element("p", {}, "Needs: " + (needs.length ? needs.join(", or ") : "nothing"));
}

function show(api) {
  const contents = document.getElementById("contents");
  const reference = document.getElementById("reference");
  reference.replaceChildren(...prose(api.info.description));
  for (const tag of api.tags || []) {
    const links = [];
    reference.append(element("h2", {}, tag.name), ...prose(tag.description));
    for (const [path, item] of Object.entries(api.paths)) for (const method of methods) {
      const operation = item[method];
      if (!operation || !(operation.tags || []).includes(tag.name)) continue;
      const words = [method, path, operation.summary, operation.operationId, JSON.stringify(operation.security || "")].join(" ").toLowerCase();
      const link = element("a", { href: "#" + operation.operationId, "data-words": words }, operation.summary || operation.operationId);
      links.push(link);
      reference.append(element("section", { id: operation.operationId, "data-words": words },
        element("h3", operation.deprecated ? { class: "deprecated" } : {}, element("span", { class: "method" }, method.toUpperCase()), " ", element("code", { class: "path" }, path)),
        element("p", {}, operation.summary || ""), prose(operation.description), access(operation),
        parameters(api, item, operation), body(api, operation), responses(api, operation)));
    }
    contents.append(element("h2", {}, tag.name), ...links);
  }
}

function search() {
  const wanted = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const e of document.querySelectorAll("[data-words]")) e.hidden = !wanted.every((word) => e.dataset.words.includes(word));
}

document.getElementById("search").addEventListener("input", search);
fetch("/openapi.json").then((answer) => answer.json()).then((api) => {
  show(api);
  if (location.hash) document.querySelector(location.hash)?.scrollIntoView();
}, () => document.getElementById("reference").replaceChildren("The document could not be loaded."));
