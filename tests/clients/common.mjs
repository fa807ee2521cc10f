// Shared by the scripts for the three clients: the server's address, claims, and a fetch that
// counts.

import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { format } from 'node:util';

// The clients complain of misuse in development only. urql and Relay read the environment, Apollo
// Client reads this, which has to be set before it is loaded.
process.env.NODE_ENV = 'development';
globalThis.__DEV__ = true;

const TOTAL_MS = 90_000;
const REQUEST_MS = 10_000;
const WAIT_MS = 10_000;
const QUIET_MS = 250;

const PUBLIC_PAGE = 20;
const PUBLIC_PAGES = 5;
export const PAGE = 2;

// Begins the script of one client. Every warning of a client library ends it: the libraries report
// responses that they do not understand with console.warn and console.error.
export function begin(client, words = process.argv.slice(2)) {
  const [address, ...rest] = words;
  if (!isAddress(address) || rest.length > 0) {
    console.error(`usage: node ${client}.mjs <address-of-the-server>`);
    process.exit(2);
  }

  const complain = console.error;
  let claiming = 'the start';
  let proved = 0;
  function fail(error) {
    complain(`not ok ${client}: ${claiming}`);
    complain(error instanceof Error ? error.stack : error);
    process.exit(1);
  }
  for (const level of ['warn', 'error']) {
    console[level] = (...words) => fail(new Error(`the client complains: ${format(...words)}`));
  }
  process.on('uncaughtException', fail);
  // Not unreferenced, so that a promise that nobody settles ends here and not silently.
  const alarm = setTimeout(() => fail(new Error(`not done after ${TOTAL_MS / 1000} s`)), TOTAL_MS);

  return {
    endpoint: new URL('/graphql', address).href,
    async claim(text, prove) {
      claiming = text;
      try {
        await prove();
      } catch (error) {
        fail(error);
      }
      proved += 1;
      console.log(`ok ${client}: ${text}`);
      claiming = `what follows on "${text}"`;
    },
    end() {
      clearTimeout(alarm);
      console.log(`${client}: ${proved} claims proved`);
    },
  };
}

function isAddress(text) {
  try {
    return /^https?:$/.test(new URL(text).protocol);
  } catch {
    return false;
  }
}

// A fetch for a client library that adds the access token, once there is one, and remembers the
// name of every operation, so that a request nobody expected has a name in the report.
export function countingFetch() {
  const requests = [];
  const session = { accessToken: null };
  async function fetchFn(url, init = {}) {
    const headers = new Headers(init.headers);
    if (session.accessToken !== null) {
      headers.set('authorization', `Bearer ${session.accessToken}`);
    }
    requests.push(operationOf(url, init));
    return fetch(url, { ...init, headers });
  }
  return {
    fetchFn,
    session,
    requests,
    // The requests that `act` causes, and those that a client sends on second thoughts a moment
    // later.
    async during(act) {
      const before = requests.length;
      await act();
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      return requests.slice(before);
    },
  };
}

function operationOf(url, init) {
  const body = init.body ? JSON.parse(init.body) : Object.fromEntries(new URL(url).searchParams);
  const named = /^\s*(?:query|mutation)\s+(\w+)/.exec(body.query);
  return body.operationName ?? named?.[1] ?? body.query;
}

// A fetch that records how each request names its document: by a hash alone, or with the text. Addresses of requests
// may be relative to `base`.
export function recordingFetch(base) {
  const sent = [];
  const send = globalThis.fetch;
  async function fetchFn(url, init = {}) {
    const address = new URL(url, base);
    const members = init.body ? JSON.parse(init.body) : Object.fromEntries(address.searchParams);
    sent.push(`${init.method ?? 'GET'} ${members.query === undefined ? 'hash' : 'text'}`);
    return send(address, init);
  }
  return { sent, fetchFn };
}

// No server has seen it before.
export function unknownQuery() {
  return `query Cards_${randomUUID().replaceAll('-', '_')} { publicStats { cards } }`;
}

export function hashOf(text) {
  return createHash('sha256').update(text).digest('hex');
}

// Queries the server without any client library: for another device of the same user, and for the
// server's own state of a list.
export async function queryServer(endpoint, session, query, variables = {}) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...(session.accessToken === null ? {} : { authorization: `Bearer ${session.accessToken}` }),
    },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(REQUEST_MS),
  });
  const body = await response.json();
  assert.equal(body.errors, undefined, JSON.stringify(body.errors));
  return body.data;
}

// Changes a reading as another device of its owner would, behind the back of the client's cache.
export async function changeElsewhere(endpoint, session, id, question) {
  const { updateReading } = await queryServer(
    endpoint,
    session,
    `mutation Elsewhere($input: UpdateReadingInput!) {
      updateReading(input: $input) { reading { version } userErrors { code message } }
    }`,
    { input: { id, question } },
  );
  assert.deepEqual(updateReading.userErrors, []);
  return updateReading.reading.version;
}

export async function readingsOnServer(endpoint, session, after = null) {
  const { viewer } = await queryServer(
    endpoint,
    session,
    'query Readings($after: String) { viewer { readings(first: 100, after: $after) { edges { cursor node { id question } } } } }',
    { after },
  );
  return viewer.readings.edges;
}

export async function aSpread(endpoint, session) {
  const { spreadByName } = await queryServer(
    endpoint,
    session,
    '{ spreadByName(name: "single_wasteland") { id } }',
  );
  return spreadByName.id;
}

// Nobody else's name, however often the scripts run against one server.
export function somebody() {
  const username = `client_${randomUUID().replaceAll('-', '').slice(0, 20)}`;
  return { username, email: `${username}@example.org`, password: `pass ${randomUUID()}` };
}

// Readings are remembered in the order in which they were made, and listed the other way round.
export function newestFirst(made) {
  return [...made].reverse();
}

// Clients notify their subscribers later, so the expected state of a cache is waited for.
export async function until(read, isSo, what) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const value = read();
    if (value !== undefined && value !== null && isSo(value)) {
      return value;
    }
    if (Date.now() > deadline) {
      throw new Error(`${what}: not so after ${WAIT_MS / 1000} s; it is ${JSON.stringify(value)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// Turns the pages of public readings: `load` fetches the first page, or the one after a cursor, and
// returns the list, with its edges and its `pageInfo`, as the client's cache has it by then.
export async function pageThroughPublicReadings(load) {
  let list = await load(null);
  for (let page = 1; ; page += 1) {
    const ids = list.edges.map((edge) => edge.node.id);
    assert.equal(ids.length, page * PUBLIC_PAGE, 'the cached list grows by a page');
    assert.equal(new Set(ids).size, ids.length, 'no reading comes twice');
    const moments = list.edges.map((edge) => edge.node.createdAt);
    assert.deepEqual(moments, [...moments].sort().reverse(), 'the newest come first');
    assert.equal(list.pageInfo.hasNextPage, true, 'there are more than five pages');
    if (page === PUBLIC_PAGES) {
      return;
    }
    list = await load(list.pageInfo.endCursor);
  }
}

export { assert, PUBLIC_PAGE };
