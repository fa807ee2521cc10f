// GraphiQL in a real browser that can reach nothing but this machine: `node graphiql.mjs http://127.0.0.1:PORT`.
// Needs Chromium (CHROMIUM names it, default /usr/bin/chromium) and `npm ci` in this folder. Ends with status 0
// and one line, or with 1, what failed and where a screenshot of that moment is.
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { launchOptions } from './chromium.mjs';

const TOTAL_MS = 90_000;
const STEP_MS = 15_000;
const EXAMPLES = new URL('../../src/http/graphiql/examples/', import.meta.url);
const QUERY = '{ cardByCode(code: "major_arcana_00") { name(locale: ZH_HANT) } }';
const ANSWER = '新手避難所居民';

const origin = originFrom(process.argv[2]);
const failures = [];
const requests = [];
let browser;
let page;

// Whatever hangs, the process ends.
setTimeout(() => finish(`not done after ${TOTAL_MS / 1000} s`), TOTAL_MS).unref();

browser = await chromium
  .launch(launchOptions('127.0.0.1'))
  .catch((error) => finish(`Chromium does not start: ${error.message}`));

try {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, locale: 'en-US' });
  context.setDefaultTimeout(STEP_MS);
  page = await context.newPage();
  await watch(page);
  await page.goto(origin);

  await claim('the responses carry the content security policy', policyIsStrict);
  await claim('the title is right', async () => same(await page.title(), 'Wasteland Tarot – GraphiQL'));
  await claim('the examples are the first tabs', async () => {
    await page.locator('.graphiql-query-editor .view-line').first().waitFor();
    same(await tabNames(), await exampleNames());
  });
  await claim('the documentation is loaded', async () => {
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    const documentation = page.locator('.graphiql-doc-explorer');
    await documentation.getByRole('link', { name: 'Query', exact: true }).click();
    await documentation.getByText('cardByCode', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Hide Documentation Explorer' }).click();
  });
  await claim('typing offers the fields of the schema', async () => {
    await page.getByRole('button', { name: 'New tab' }).click();
    await page.locator('.graphiql-query-editor .monaco-editor').click();
    await page.keyboard.type('{ cardBy', { delay: 40 });
    await page.locator('.suggest-widget .monaco-list-row', { hasText: 'cardByCode' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+A');
    await page.keyboard.press('Delete');
  });
  await claim('a typed query stands in the editor as it was typed', async () => {
    await page.keyboard.type(QUERY, { delay: 20 });
    await page.keyboard.press('Escape');
    same(await textOf('.graphiql-query-editor'), QUERY.replaceAll(' ', ''));
  });
  await claim('its response is shown', async () => {
    await page.waitForTimeout(500); // GraphiQL reads the text a tenth of a second after the last key
    await page.locator('.graphiql-execute-button').click();
    const response = page.locator('.result-window .view-lines', { hasText: /\S/ });
    await response.waitFor();
    const shown = await textOf('.result-window');
    if (!shown.includes(`"name":"${ANSWER}"`)) throw new Error(`${ANSWER} is not in ${shown}`);
  });
  await claim('a returning visitor finds their own tabs', async () => {
    await page.waitForTimeout(1_000); // GraphiQL saves half a second after the last change
    await page.reload();
    await page.locator('.graphiql-query-editor .view-line').first().waitFor();
    same((await tabNames()).length, (await exampleNames()).length + 1);
    same(await textOf('.graphiql-query-editor'), QUERY.replaceAll(' ', ''));
  });
  await claim('the workers run from files of the server', async () => {
    const workers = page.workers().map((worker) => worker.url());
    if (!workers.some((url) => url.startsWith(`${origin}/graphiql/assets/`))) throw new Error(`workers: ${workers}`);
  });
  await page.waitForTimeout(300); // what the last step may still report
  await finish();
} catch (error) {
  await finish(error.message.split('\nCall log')[0]); // what follows is Playwright's own diary
}

function originFrom(argument) {
  const url = URL.canParse(argument) ? new URL(argument) : undefined;
  if (url?.hostname === '127.0.0.1') return url.origin;
  console.error('usage: node graphiql.mjs http://127.0.0.1:PORT');
  process.exit(1);
}

// Collects what must not happen while the page is used.
async function watch(page) {
  await page.exposeFunction('reportViolation', (text) => failures.push(`policy violation: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      globalThis.reportViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  page.on('console', (message) => {
    if (message.type() === 'error') failures.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => failures.push(`uncaught: ${error.message}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol === 'data:') return;
    requests.push(request);
    if (url.origin !== origin) failures.push(`request to another origin: ${url}`);
  });
  page.on('requestfailed', (request) => {
    const cause = request.failure()?.errorText;
    // The reload aborts what is under way.
    if (cause !== 'net::ERR_ABORTED') failures.push(`failed request: ${request.url()} ${cause}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) failures.push(`status ${response.status()}: ${response.url()}`);
  });
  page.on('websocket', (socket) => failures.push(`unexpected socket: ${socket.url()}`));
}

async function claim(what, check) {
  try {
    await check();
  } catch (error) {
    throw new Error(`not so: ${what}\n${error.message}`);
  }
}

// Without a policy no violation could be seen.
async function policyIsStrict() {
  const page = requests.find((request) => request.resourceType() === 'document');
  const policy = (await (await page.response()).allHeaders())['content-security-policy'] ?? 'none';
  const strict = policy.includes("default-src 'none'") && !/unsafe-|blob:|https?:|\*/.test(policy);
  if (!strict) throw new Error(`policy: ${policy}`);
}

function same(found, expected) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`found ${left}, expected ${right}`);
}

async function tabNames() {
  return (await page.locator('.graphiql-tab').allInnerTexts()).map((name) => name.trim());
}

async function exampleNames() {
  const files = (await readdir(EXAMPLES)).filter((name) => name.endsWith('.graphql')).sort();
  const texts = await Promise.all(files.map((name) => readFile(new URL(name, EXAMPLES), 'utf8')));
  return texts.map((text) => /^(?:query|mutation) (\w+)/m.exec(text)[1]);
}

// The text of an editor without its white space, of which Monaco makes no-break spaces.
async function textOf(editor) {
  return (await page.locator(`${editor} .view-lines`).first().innerText()).replaceAll(/[\s\u00a0]/g, '');
}

async function finish(failure) {
  if (failure) failures.unshift(failure);
  if (failures.length > 0) {
    console.error(`graphiql: failed\n${failures.join('\n')}`);
    const screenshot = path.join(tmpdir(), `graphiql-${process.pid}.png`);
    const taken = await page?.screenshot({ path: screenshot, timeout: 5_000 }).then(() => true, () => false);
    if (taken) console.error(`screenshot: ${screenshot}`);
  } else {
    console.log(`graphiql: ok, ${requests.length} requests, all to ${origin}, Chromium ${browser.version()}`);
  }
  await Promise.race([browser?.close(), new Promise((resolve) => setTimeout(resolve, 5_000))]);
  process.exit(failures.length > 0 ? 1 : 0);
}
