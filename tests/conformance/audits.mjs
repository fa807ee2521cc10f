// Runs every server audit of graphql-http against one endpoint:
//
//     npm ci && node audits.mjs http://127.0.0.1:8000/graphql
//
// Prints each audit that did not end "ok", then a summary. Exits 0 only when all 61 audits ran and all
// are "ok"; "notice" (a MAY) and "warn" (a SHOULD) fail as "error" (a MUST) does. Exits 2 on wrong usage.

import { serverAudits } from 'graphql-http';

const EXPECTED = 61;
const TIMEOUT_MS = 15_000;
const BODY_EXCERPT = 300;

const [endpoint, ...rest] = process.argv.slice(2);
if (!/^https?:$/.test(protocolOf(endpoint)) || rest.length > 0) {
  console.error('usage: node audits.mjs <url-of-graphql-endpoint>');
  process.exit(2);
}

function protocolOf(text) {
  try {
    return new URL(text).protocol;
  } catch {
    return '';
  }
}

// Reads each body whole, so that the report can show it though the audit consumed it.
let last = null;
async function fetchFn(url, init = {}) {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const body = await response.arrayBuffer();
  const { status, statusText, headers } = response;
  last = { status, contentType: headers.get('content-type'), body };
  const mayHaveBody = ![204, 205, 304].includes(status);
  return new Response(mayHaveBody ? body : null, { status, statusText, headers });
}

function causeOf(error) {
  const cause = error?.cause;
  return [error?.name, error?.message, cause?.code ?? cause?.message].filter(Boolean).join(': ');
}

function describe(response) {
  if (!response) {
    return ['no response'];
  }
  const text = new TextDecoder().decode(response.body);
  const excerpt = Array.from(text).slice(0, BODY_EXCERPT).join('');
  return [
    `status:       ${response.status}`,
    `content-type: ${response.contentType ?? '(none)'}`,
    `body:         ${excerpt === '' ? '(empty)' : excerpt}`,
  ];
}

const counts = { ok: 0, notice: 0, warn: 0, error: 0, fatal: 0 };
const ids = new Set();

// One after the other: the audits check the protocol, not load or rate limits.
for (const audit of serverAudits({ url: endpoint, fetchFn })) {
  ids.add(audit.id);
  last = null;
  let result;
  try {
    result = await audit.fn();
  } catch (error) {
    // Thrown rather than returned: no response at all (refused, reset, timed out).
    result = { status: 'fatal', reason: causeOf(error) };
  }
  counts[result.status] += 1;
  if (result.status === 'ok') {
    continue;
  }
  console.log(`${result.status} ${audit.id} ${audit.name}`);
  console.log(`  reason:       ${result.reason}`);
  for (const line of describe(last)) {
    console.log(`  ${line}`);
  }
}

const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
console.log(Object.entries(counts).map(([status, count]) => `${status} ${count}`).join(', '));
if (total !== EXPECTED || ids.size !== EXPECTED) {
  console.log(`expected ${EXPECTED} different audits, but ${total} ran with ${ids.size} ids`);
}
console.log(`graphql-http: ${counts.ok} of ${EXPECTED} audits passed`);
process.exitCode = counts.ok === EXPECTED && total === EXPECTED && ids.size === EXPECTED ? 0 : 1;
