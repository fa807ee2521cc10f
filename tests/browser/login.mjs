// The code of "Log in from a frontend" (docs/clients.md), as it stands, in a real browser:
// `node login.mjs '{"strict": 8000, "none": 8001, "proxied": 8002, "ports": {…}}'`, with the ports of three servers
// and of the apps. Needs Chromium (CHROMIUM names it, default /usr/bin/chromium) and `npm ci` in this folder. Prints a
// line for each claim that it proved. Exits 1 at the first that does not hold.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { createServer } from 'vite';
import { launchOptions } from './chromium.mjs';

const TOTAL_MS = 300_000;
// The servers' access tokens are valid for five seconds, and for five more that clocks may differ.
const EXPIRED_MS = 11_000;
const HERE = path.dirname(fileURLToPath(import.meta.url));
const USER = { login: 'ada', password: 'a password of tests' };
const OTHER = { ...USER, login: 'bob' };
const CLIENTS = ['apollo', 'urql'];

const { strict, none, proxied, ports } = JSON.parse(process.argv[2]);
const began = [];
let proved = 0;
let hasFailed = false;

setTimeout(() => fail(new Error(`not done after ${TOTAL_MS / 1000} s`)), TOTAL_MS).unref();
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

const folder = await mkdtemp(path.join(HERE, '.app-'));
began.push(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
await writeApp();
const options = launchOptions('127.0.0.1', 'localhost');
const browser = await chromium.launch(options);
began.push(() => browser.close());

const sameSite = await startApp(ports.sameSite, { VITE_API: `http://localhost:${strict}/graphql` });
const crossSite = await startApp(ports.crossSite, { VITE_API: `http://127.0.0.1:${none}/graphql` });
const lost = await startApp(ports.lost, { VITE_API: `http://127.0.0.1:${strict}/graphql` });
const byProxy = await startApp(ports.proxied, {
  VITE_API: '/api/graphql',
  API_TARGET: `http://127.0.0.1:${proxied}`,
});
const unknownProxy = await startApp(ports.unknownProxy, {
  VITE_API: '/api/graphql',
  API_TARGET: `http://127.0.0.1:${strict}`,
});

await Promise.all([
  ...CLIENTS.flatMap((client) => [
    usesSession('an app on another port of localhost', sameSite, client, newWindow()),
    usesSession('an app on another site, with SameSite=None', crossSite, client, newProfile(client)),
    usesSession('an app behind a proxy under /api', byProxy, client, newWindow()),
  ]),
  isRefused('an app on another site', lost, /^page and server are two sites .*REFRESH_COOKIE_SAME_SITE=none$/),
  isRefused('an app behind a proxy of which the server knows nothing', unknownProxy, /^the page .* PUBLIC_URL .*\/api/),
  usesGraphiql(),
]);
await finish(0);

// The blocks of the section, each in the file that its first line names, and a page that loads them.
async function writeApp() {
  const guide = await readFile(path.join(HERE, '../../docs/clients.md'), 'utf8');
  const section = /^## Log in from a frontend\n(.*?)(?=^## )/ms.exec(`${guide}\n## `)[1];
  const blocks = [...section.matchAll(/^```js\n(\/\/ (\S+\.js).*?)^```$/gms)];
  assert.deepEqual(blocks.map(([, , name]) => name), ['session.js', 'apollo.js', 'urql.js', 'vite.config.js']);
  assert.equal(section.match(/^```js/gm).length, blocks.length, 'each block names its file');
  const files = [
    ...blocks.map(([, text, name]) => [name, text]),
    ['package.json', '{ "type": "module" }'],
    ['index.html', '<!doctype html><title>app</title><script type="module" src="/main.js"></script>'],
    [
      'main.js',
      `import { gql } from '@apollo/client';
      import { accessToken, logIn, logOut, refresh } from './session.js';
      import { client as apollo } from './apollo.js';
      import { client as urql } from './urql.js';
      const query = gql\`query Viewer { viewer { username bio } }\`;
      const change = gql\`mutation Change($bio: String) {
        updateProfile(input: { bio: $bio }) { user { bio } userErrors { code } }
      }\`;
      const clients = {
        apollo: {
          query: (fetchPolicy) => apollo.query({ query, fetchPolicy: fetchPolicy ?? 'network-only' }),
          change: (bio) => apollo.mutate({ mutation: change, variables: { bio } }),
        },
        urql: {
          query: (requestPolicy) =>
            urql.query(query, {}, { requestPolicy: requestPolicy ?? 'network-only' }).toPromise(),
          change: (bio) => urql.mutation(change, { bio }).toPromise(),
        },
      };
      const data = ({ data, error }) => { if (error) throw error; return data; };
      globalThis.app = {
        accessToken, logIn, logOut, refresh,
        viewer: async (client) => data(await clients[client].query()).viewer?.username ?? null,
        // From the cache, if it is there.
        cached: async (client) => data(await clients[client].query('cache-first')).viewer?.username ?? null,
        bio: async (client) => data(await clients[client].query()).viewer.bio,
        change: async (client, bio) => data(await clients[client].change(bio)).updateProfile.user.bio,
      };`,
    ],
  ];
  await Promise.all(files.map(([name, text]) => writeFile(path.join(folder, name), text)));
}

// A development server of the app. The configuration of the guide is for the proxy; without one it has no effect.
async function startApp(port, environment) {
  Object.assign(process.env, environment);
  const server = await createServer({
    root: folder,
    cacheDir: path.join(folder, `.vite-${port}`),
    configFile: path.join(folder, 'vite.config.js'),
    logLevel: 'error',
    server: { port, strictPort: true, hmr: false, watch: null },
  });
  await server.listen();
  began.push(() => server.close());
  return `http://localhost:${port}/`;
}

async function claim(what, prove) {
  try {
    await prove();
  } catch (error) {
    await fail(new Error(`not so: ${what}`, { cause: error }));
  }
  proved += 1;
  console.log(`ok ${what}`);
}

// A tab with the app, and the status of each response to its operations.
async function openTab(context, url) {
  const page = await context.newPage();
  const statuses = [];
  page.on('response', (response) => {
    const request = response.request();
    if (request.method() === 'OPTIONS' || !response.url().includes('/graphql')) return;
    const text = request.postData() ?? response.url();
    const operation = /refreshSession|logout|login|Viewer|Change/.exec(text)?.[0];
    if (operation) statuses.push(`${operation} ${response.status()}`);
  });
  await page.goto(url);
  await page.waitForFunction(() => globalThis.app);
  return {
    page,
    call: (name, ...values) => page.evaluate(([name, values]) => globalThis.app[name](...values), [name, values]),
    // The result of a call, and its operations with their statuses, each once.
    async during(act) {
      statuses.length = 0;
      const result = await act();
      return { result, sent: [...new Set(statuses)].sort() };
    },
  };
}

function expire() {
  return new Promise((resolve) => setTimeout(resolve, EXPIRED_MS));
}

// A private window.
function newWindow() {
  return browser.newContext();
}

// A window of a profile that allows cookies of other sites, which private windows and some distributions block.
async function newProfile(name) {
  const profile = path.join(folder, `.profile-${name}`);
  await mkdir(path.join(profile, 'Default'), { recursive: true });
  const preferences = { profile: { cookie_controls_mode: 0 } };
  await writeFile(path.join(profile, 'Default/Preferences'), JSON.stringify(preferences));
  const context = await chromium.launchPersistentContext(profile, options);
  began.push(() => context.close());
  return context;
}

async function usesSession(place, url, client, opened) {
  const context = await opened;
  const [first, second] = [await openTab(context, url), await openTab(context, url)];
  const named = (what) => `${client}, ${place}: ${what}`;

  await claim(named('nobody is signed in before the login'), async () => {
    assert.equal(await first.call('refresh'), null);
    assert.equal(await first.call('viewer', client), null);
  });
  await claim(named('a wrong password is a user error'), async () => {
    const [error] = await first.call('logIn', USER.login, 'a wrong password');
    assert.equal(error.code, 'BAD_CREDENTIALS');
  });
  await claim(named('a login sets a cookie that scripts cannot read'), async () => {
    assert.deepEqual(await first.call('logIn', USER.login, USER.password), []);
    assert.equal(await first.call('viewer', client), USER.login);
    const [cookie, ...others] = await context.cookies();
    assert.deepEqual([cookie.httpOnly, cookie.secure, others], [true, true, []]);
    assert.equal(await first.page.evaluate(() => document.cookie), '');
  });
  await claim(named('another tab takes the session from the cookie'), async () => {
    assert.ok(await second.call('refresh'));
    assert.equal(await second.call('viewer', client), USER.login);
  });
  await claim(named('an expired token is renewed and the operations are repeated, in both tabs at once'), async () => {
    await expire();
    const operations = (tab) =>
      tab.during(() => Promise.all([tab.call('viewer', client), tab.call('change', client, 'A bio.')]));
    for (const { result, sent } of await Promise.all([operations(first), operations(second)])) {
      assert.deepEqual(result, [USER.login, 'A bio.']);
      // A client may hold the second operation back while the token is renewed for the first.
      const refused = sent.filter((operation) => operation.endsWith(' 401'));
      assert.ok(refused.length > 0, sent);
      const others = sent.filter((operation) => !refused.includes(operation));
      assert.deepEqual(others, ['Change 200', 'Viewer 200', 'refreshSession 200']);
    }
  });
  await claim(named('both tabs go on when their tokens have expired again'), async () => {
    await expire();
    for (const tab of [second, first]) assert.equal(await tab.call('viewer', client), USER.login);
  });
  await claim(named('a page that is opened anew is signed in'), async () => {
    await first.page.reload();
    await first.page.waitForFunction(() => globalThis.app);
    assert.ok(await first.call('refresh'));
  });
  await claim(named('after a login of somebody else in another tab, nothing of the first user is left'), async () => {
    assert.equal(await first.call('viewer', client), USER.login);
    const known = await first.during(() => first.call('cached', client));
    assert.deepEqual(known, { result: USER.login, sent: [] });
    assert.deepEqual(await second.call('logIn', OTHER.login, OTHER.password), []);
    await expire();
    const change = await first.during(() =>
      first.call('change', client, 'A bio of the first user.').catch(({ message }) => message),
    );
    assert.match(change.result, /the session is over; log in|the access token has expired/);
    assert.deepEqual(change.sent, ['Change 401', 'refreshSession 200']);
    const read = await first.during(() => first.call('cached', client));
    assert.deepEqual(read, { result: OTHER.login, sent: ['Viewer 200'] });
    assert.equal(await first.call('bio', client), null);
  });
  await claim(named('a login in the same tab clears the cache as well'), async () => {
    assert.deepEqual(await first.call('logIn', USER.login, 'a wrong password').then(([{ code }]) => code), 'BAD_CREDENTIALS');
    assert.equal(await first.call('cached', client), OTHER.login);
    assert.deepEqual(await first.call('logIn', USER.login, USER.password), []);
    const read = await first.during(() => first.call('cached', client));
    assert.deepEqual(read, { result: USER.login, sent: ['Viewer 200'] });
    assert.ok(await second.call('refresh'));
    assert.equal(await second.call('cached', client), USER.login);
  });
  await claim(named('a logout with an expired token ends the session in all tabs'), async () => {
    const third = await openTab(context, url);
    assert.ok(await third.call('refresh'));
    await expire();
    await first.call('logOut');
    assert.deepEqual(await context.cookies(), []);
    assert.equal(await first.call('cached', client), null);
    // A tab whose session has ended elsewhere.
    await third.call('logOut');
    assert.equal(await third.call('accessToken'), null);
    const { result, sent } = await second.during(() =>
      second.call('viewer', client).catch(({ message }) => message),
    );
    // Apollo cancels the query when its cache is cleared. Its production build has an address in place of the text.
    assert.match(
      result,
      /the session is over; log in|the access token has expired|Store reset while query|go\.apollo\.dev\/c\/err/,
    );
    assert.deepEqual(sent, ['Viewer 401', 'refreshSession 200']);
    assert.equal(await second.call('viewer', client), null);
    assert.equal(await second.call('refresh'), null);
  });
  await context.close();
}

async function isRefused(place, url, message) {
  const context = await browser.newContext();
  const tab = await openTab(context, url);
  await claim(`${place}: a login whose cookie would be lost is refused, and says what to set`, async () => {
    const error = await tab.call('logIn', USER.login, USER.password).catch(({ message }) => message);
    assert.match(error.replace(/^.*?Error: /s, '').split('\n')[0], message);
    assert.deepEqual(await context.cookies(), []);
  });
  await context.close();
}

async function usesGraphiql() {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://localhost:${strict}/`);
  const send = (query) =>
    page.evaluate(async (query) => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch('/graphql', { method: 'POST', headers, body: JSON.stringify({ query }) });
      return response.json();
    }, query);
  await claim('GraphiQL that was opened as localhost refreshes the session of its cookie', async () => {
    const input = `login: "${USER.login}", password: "${USER.password}", tokenDelivery: COOKIE`;
    await send(`mutation { login(input: { ${input} }) { session { accessToken } } }`);
    const renewed = await send('mutation { refreshSession(input: {}) { viewer { username } userErrors { code } } }');
    assert.deepEqual(renewed, { data: { refreshSession: { viewer: { username: USER.login }, userErrors: [] } } });
  });
  await context.close();
}

// Reports the first failure. What it ends fails as well.
async function fail(error) {
  if (!hasFailed) {
    hasFailed = true;
    console.error(error);
    await finish(1);
  }
  await new Promise(() => {});
}

async function finish(status) {
  const ended = began.reduceRight((before, end) => before.then(end).catch(() => {}), Promise.resolve());
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 10_000))]);
  if (status === 0) console.log(`login: ${proved} claims proved, Chromium ${browser.version()}`);
  process.exit(status);
}
