// Clients that execute the documents of GraphQL Code Generator by their hash:
// `node codegen.mjs '{"address": "http://127.0.0.1:8000", "folder": "…/codegen", "prefix": "sha256:"}'`, with an app of
// `generate.mjs` and what its generator writes before a hash, and a server that trusts its documents only and has the
// user below and two public readings. Prints a line for each claim that it proved. Exits 1 at the first that does not
// hold, 2 on wrong usage.

// First, because it says how strict the client is to be.
import { assert, begin, hashOf, recordingFetch } from './common.mjs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { buildSchema, parse } from 'graphql';
import { createJiti } from 'jiti';

const USER = { login: 'ada', password: 'a password of tests' };

const { address, folder, prefix } = JSON.parse(process.argv[2]);
const { endpoint, claim, end } = begin('codegen', [address]);
const { sent, fetchFn } = recordingFetch(endpoint);
// The app's own requests, to a path of its origin.
globalThis.fetch = fetchFn;

const jiti = createJiti(import.meta.url, { fsCache: false });
const load = (module) => jiti.import(path.join(folder, `src/${module}.ts`));
const { CARDS, LOG_IN } = await load('operations');
const { NODES, READINGS, timesOf } = await load('more');
const { client: apollo } = await load('apollo');
const { client: urql } = await load('urql');
const { execute } = await load('fetch');

const sendAsJson = (members) =>
  fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify(members),
  });

// What `act` returns, and how its requests named their documents.
async function during(act) {
  sent.length = 0;
  return { result: await act(), requests: [...sent] };
}

await claim('has a server that executes no text', async () => {
  const response = await sendAsJson({ query: '{ __typename }' });
  const { errors } = await response.json();
  assert.deepEqual([response.status, errors[0].extensions.code], [403, 'FORBIDDEN']);
});

let cards;
await claim('Apollo Client queries by the hash over GET, and has the types in its cache', async () => {
  const { result, requests } = await during(() => apollo.query({ query: CARDS, variables: { first: 3 } }));
  assert.deepEqual(requests, ['GET hash']);
  cards = result.data.cards.edges.map(({ node }) => node);
  assert.equal(cards.length, 3);
  for (const { id, name } of cards) {
    assert.deepEqual(apollo.cache.extract()[id], { __typename: 'Card', id, name });
  }
});

await claim('Apollo Client has the same query in its cache', async () => {
  const { result, requests } = await during(() => apollo.query({ query: CARDS, variables: { first: 3 } }));
  assert.deepEqual(requests, []);
  assert.deepEqual(result.data.cards.edges.map(({ node }) => node), cards);
});

await claim('Apollo Client executes fragments, types by condition, directives and defaults', async () => {
  const ids = cards.map(({ id }) => id);
  const { result, requests } = await during(() => apollo.query({ query: NODES, variables: { ids } }));
  assert.deepEqual(requests, ['GET hash']);
  assert.deepEqual(result.data.nodes.map(({ id, name }) => ({ __typename: 'Card', id, name })), cards);
  assert.ok(result.data.nodes.every(({ suit }) => typeof suit === 'string'));
  assert.equal(result.data.none.totalCount, 0);
});

await claim('the cache of Apollo Client knows which types are nodes', async () => {
  const schema = buildSchema(await readFile(path.join(folder, 'schema.graphql'), 'utf8'));
  const [fragment] = parse('fragment Parts on Node { id }').definitions;
  const unknown = schema
    .getPossibleTypes(schema.getType('Node'))
    .filter(({ name }) => !apollo.cache.policies.fragmentMatches(fragment, name));
  assert.deepEqual(unknown.map(({ name }) => name), []);
});

await claim('Apollo Client sends and receives scalars as texts', async () => {
  const variables = { before: new Date().toISOString() };
  const { result, requests } = await during(() => apollo.query({ query: READINGS, variables }));
  assert.deepEqual(requests, ['GET hash']);
  const times = timesOf(result.data);
  assert.equal(times.length, 2);
  assert.ok(times.every((time) => time < variables.before), times);
});

await claim('Apollo Client mutates by the hash over POST', async () => {
  const { result, requests } = await during(() => apollo.mutate({ mutation: LOG_IN, variables: { input: USER } }));
  assert.deepEqual(requests, ['POST hash']);
  assert.ok(result.data.login.session.accessToken);
});

await claim('urql queries by the hash over GET, and has the types', async () => {
  const { result, requests } = await during(() => urql.query(CARDS, { first: 3 }).toPromise());
  assert.equal(result.error, undefined);
  assert.deepEqual(requests, ['GET hash']);
  assert.deepEqual(result.data.cards.edges.map(({ node }) => node), cards);
});

await claim('urql mutates by the hash over POST', async () => {
  const { result, requests } = await during(() => urql.mutation(LOG_IN, { input: USER }).toPromise());
  assert.equal(result.error, undefined);
  assert.deepEqual(requests, ['POST hash']);
  assert.ok(result.data.login.session.accessToken);
});

await claim('a fetch without a library executes both by `documentId`', async () => {
  const { result, requests } = await during(async () => [
    await execute(CARDS, { first: 3 }),
    await execute(LOG_IN, { input: USER }),
  ]);
  assert.deepEqual(requests, ['POST hash', 'POST hash']);
  const [{ cards: { edges } }, { login }] = result;
  assert.deepEqual(edges.map(({ node }) => node), cards);
  assert.ok(login.session.accessToken);
});

await claim(`the identifier is "${prefix}" and 64 digits, and a GET finds it with \`sha256:\` and without`, async () => {
  const identifier = CARDS.__meta__.hash;
  const digits = identifier.slice(prefix.length);
  assert.match(digits, /^[0-9a-f]{64}$/);
  assert.equal(identifier, prefix + digits);
  for (const documentId of [digits, `sha256:${digits}`]) {
    const parameters = new URLSearchParams({ documentId, variables: JSON.stringify({ first: 3 }) });
    const { data } = await (await fetch(`/graphql?${parameters}`)).json();
    assert.deepEqual(data.cards.edges.map(({ node }) => node), cards);
  }
});

await claim('a hash that Apollo Client computes is not that of the manifest', async () => {
  const computing = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([
      new PersistedQueryLink({ sha256: hashOf, useGETForHashedQueries: true }),
      new HttpLink({ uri: endpoint }),
    ]),
  });
  const query = () => computing.query({ query: CARDS, variables: { first: 3 } });
  const { requests } = await during(() => assert.rejects(query, /only trusted documents are executed/));
  assert.deepEqual(requests, ['GET hash', 'POST text']);
  computing.stop();
});

apollo.stop();
end();
