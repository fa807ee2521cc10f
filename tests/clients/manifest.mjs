// Apollo Client that executes the documents of Apollo's own manifest by their hash:
// `node manifest.mjs '{"address": "http://127.0.0.1:8000", "folder": "…/manifest"}'`, with an app of `generate.mjs`, and
// a server that trusts its documents only and has the user below. Prints a line for each claim that it proved. Exits 1
// at the first that does not hold, 2 on wrong usage.

// First, because it says how strict the client is to be.
import { assert, begin, hashOf, recordingFetch } from './common.mjs';
import path from 'node:path';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { generatePersistedQueryIdsAtRuntime } from '@apollo/persisted-query-lists';
import { createJiti } from 'jiti';

const USER = { login: 'ada', password: 'a password of tests' };

const { address, folder } = JSON.parse(process.argv[2]);
const { endpoint, claim, end } = begin('manifest', [address]);
const { sent, fetchFn } = recordingFetch(endpoint);
// The app's own requests, to a path of its origin.
globalThis.fetch = fetchFn;

const jiti = createJiti(import.meta.url, { fsCache: false });
const load = (module) => jiti.import(path.join(folder, `src/${module}.ts`));
const { CARD_NAMES } = await load('operations');
const { LOG_IN, NODES } = await load('more');
const { client: guided } = await load('apollo');
const computing = new ApolloClient({
  cache: new InMemoryCache({ dataIdFromObject: (object) => object.id }),
  link: ApolloLink.from([
    new PersistedQueryLink({ ...generatePersistedQueryIdsAtRuntime({ sha256: hashOf }), useGETForHashedQueries: true }),
    new HttpLink({ uri: endpoint }),
  ]),
});

for (const [identifiers, client] of [['from the manifest', guided], ['computed at run time', computing]]) {
  let cards;
  await claim(`queries by identifiers ${identifiers} over GET, and has the types in its cache`, async () => {
    sent.length = 0;
    const { data } = await client.query({ query: CARD_NAMES });
    assert.deepEqual(sent, ['GET hash']);
    cards = data.cards.nodes;
    assert.equal(cards.length, 3);
    for (const { id, name } of cards) {
      assert.deepEqual(client.cache.extract()[id], { __typename: 'Card', id, name });
    }
  });

  await claim(`executes fragments by identifiers ${identifiers}`, async () => {
    sent.length = 0;
    const { data } = await client.query({ query: NODES, variables: { ids: cards.map(({ id }) => id) } });
    assert.deepEqual(sent, ['GET hash']);
    assert.deepEqual(data.nodes, cards);
  });

  await claim(`mutates by identifiers ${identifiers} over POST`, async () => {
    sent.length = 0;
    const { data } = await client.mutate({ mutation: LOG_IN, variables: { input: USER } });
    assert.deepEqual(sent, ['POST hash']);
    assert.ok(data.login.session.accessToken);
  });
  client.stop();
}

end();
