// Accounts, their deployments with what is used of a minute, and the quotas they were taken from.

import { byId, el, keyed, say } from "./dom.js";
import { count, plain } from "./format.js";
import { gauge, setGauge } from "./gauge.js";

const NONE = "This account has no deployment yet. Create one in task 1, for example with "
  + "AzureOpenAIManager().deploy_language_model(…), or with az cognitiveservices account deployment create.";

/** Show the accounts and quotas of an overview. */
export function showDeployments({ accounts, quotas }) {
  keyed(byId("accounts"), accounts, (account) => account.name, createAccount, updateAccount);
  keyed(byId("quotas"), quotas, (quota) => `${quota.location} ${quota.sku} ${quota.model}`, createQuota, updateQuota);
  byId("quotas").previousElementSibling.hidden = quotas.length === 0;
}

function createAccount() {
  return el("div", { className: "account" },
    el("h3"), el("p", { className: "muted" }), el("ul", { className: "cards" }), el("p", { className: "empty" }, NONE));
}

function updateAccount(element, account) {
  const [title, about, list, none] = element.children;
  say(title, plain(account.name, 64));
  const access = account.keys_allowed ? "keys and Entra ID" : "Entra ID only, keys are off";
  say(about, `${plain(account.location)} · ${access}`);
  none.hidden = account.deployments.length > 0;
  list.hidden = !none.hidden;
  keyed(list, account.deployments, (deployment) => deployment.name, createDeployment, updateDeployment);
}

function createDeployment() {
  return el("li", { className: "card" },
    el("h4", {}, el("bdi"), el("span", { className: "chip" })),
    el("p", { className: "muted" }), gauge("Tokens per minute"), gauge("Requests per minute"));
}

function updateDeployment(element, deployment) {
  const [title, about, tokens, requests] = element.children;
  say(title.firstElementChild, plain(deployment.name, 64));
  say(title.lastElementChild, deployment.state);
  title.lastElementChild.dataset.kind = deployment.state === "Succeeded" ? "good" : "waiting";
  const { model, version, sku, capacity_ktpm: capacity } = deployment;
  say(about, `${model} (${version}) · ${sku} · capacity ${count(capacity)}`);
  setGauge(tokens, deployment.tpm.used, deployment.tpm.limit, count);
  setGauge(requests, deployment.rpm.used, deployment.rpm.limit, count);
}

function createQuota() {
  return el("li", { className: "card" }, gauge("Quota"));
}

function updateQuota(element, quota) {
  const bar = element.firstElementChild;
  const name = `${quota.model} · ${quota.sku} · ${quota.location}`;
  say(bar.querySelector(".gauge-label > span"), name);
  bar.querySelector(".track").setAttribute("aria-label", `Quota of ${name}`);
  setGauge(bar, quota.used_ktpm, quota.limit_ktpm, (ktpm) => `${count(ktpm)}k`);
}
