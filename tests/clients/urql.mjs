// urql with its normalized cache, Graphcache, against a running server: `npm ci && node urql.mjs http://127.0.0.1:8000`.
// The server needs its reference data and at least 101 public readings, with introspection on; the script
// makes a user of its own.
// Prints a line for each claim that it proved. Exits 1 at the first that does not hold, 2 on wrong usage.

import { Client, fetchExchange, gql } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { persistedExchange } from '@urql/exchange-persisted';
import { getIntrospectionQuery } from 'graphql';
import {
  PAGE,
  PUBLIC_PAGE,
  aSpread,
  queryServer,
  assert,
  begin,
  changeElsewhere,
  countingFetch,
  hashOf,
  newestFirst,
  pageThroughPublicReadings,
  readingsOnServer,
  somebody,
  recordingFetch,
  unknownQuery,
  until,
} from './common.mjs';

const { endpoint, claim, end } = begin('urql');
const network = countingFetch();

const READING = gql`
  fragment ReadingParts on Reading {
    id
    version
    question
    notes
    createdAt
  }
`;
const REGISTER = gql`
  mutation Register($input: RegisterInput!) {
    register(input: $input) {
      session { accessToken }
      viewer { id username email }
      userErrors { field message code }
    }
  }
`;
const LOGIN = gql`
  mutation Login($input: LoginInput!) {
    login(input: $input) {
      session { accessToken }
      viewer { id username email }
      userErrors { field message code }
    }
  }
`;
// The list's length is selected apart from its pages, because `relayPagination` joins edges only. A
// mutation's payload brings the same field anew.
const VIEWER_READINGS = gql`
  query ViewerReadings($first: Int!, $after: String) {
    viewer {
      id
      all: readings(first: 0) { totalCount }
      readings(first: $first, after: $after) {
        edges { cursor node { ...ReadingParts } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
  ${READING}
`;
const READING_BY_ID = gql`
  query ReadingById($id: ID!) {
    reading(id: $id) { ...ReadingParts }
  }
  ${READING}
`;
const CREATE = gql`
  mutation CreateReading($input: CreateReadingInput!) {
    createReading(input: $input) {
      readingEdge { cursor node { ...ReadingParts } }
      viewer { id all: readings(first: 0) { totalCount } }
      userErrors { field message code }
    }
  }
  ${READING}
`;
const UPDATE = gql`
  mutation UpdateReading($input: UpdateReadingInput!) {
    updateReading(input: $input) {
      reading { ...ReadingParts }
      userErrors { field message code }
    }
  }
  ${READING}
`;
const DELETE = gql`
  mutation DeleteReading($input: DeleteReadingInput!) {
    deleteReading(input: $input) {
      deletedReadingId
      viewer { id all: readings(first: 0) { totalCount } }
      userErrors { field message code }
    }
  }
`;
const PUBLIC_READINGS = gql`
  query PublicReadings($first: Int!, $after: String) {
    publicReadings(first: $first, after: $after) {
      edges { cursor node { id createdAt } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;

// Every page of a user's readings that is in the cache.
function pagesOf(cache, viewer) {
  return cache
    .inspectFields(viewer)
    .filter(({ fieldName, arguments: args }) => fieldName === 'readings' && args.first > 0)
    .map(({ fieldKey, arguments: args }) => {
      const list = cache.resolve(viewer, fieldKey);
      return { list, isFirst: !args.after, edges: cache.resolve(list, 'edges') };
    });
}

const updates = {
  Mutation: {
    createReading({ createReading: { readingEdge, viewer } }, _args, cache) {
      if (readingEdge === null) {
        return;
      }
      for (const { list, isFirst, edges } of pagesOf(cache, viewer)) {
        if (isFirst) {
          cache.link(list, 'edges', [readingEdge, ...edges]);
        }
      }
    },
    deleteReading({ deleteReading: { deletedReadingId, viewer } }, _args, cache) {
      if (deletedReadingId === null) {
        return;
      }
      const deleted = cache.keyOfEntity({ __typename: 'Reading', id: deletedReadingId });
      // An edge always has a node, so an edge that lost it would make the list incomplete, and
      // Graphcache would fetch it again. The edge goes first, then the reading.
      for (const { list, edges } of pagesOf(cache, viewer)) {
        cache.link(list, 'edges', edges.filter((edge) => cache.resolve(edge, 'node') !== deleted));
      }
      cache.invalidate(deleted);
    },
  },
};

let client;

async function mutate(mutation, input) {
  const { data, error } = await client.mutation(mutation, { input }).toPromise();
  assert.equal(error, undefined, String(error));
  const [payload] = Object.values(data);
  return payload;
}

async function mutateWell(mutation, input) {
  const payload = await mutate(mutation, input);
  assert.deepEqual(payload.userErrors, []);
  return payload;
}

// The data of a component of an app. Graphcache gives the cached part of a list at once and marks
// it as stale while the rest is on its way.
function watch(query, variables, show) {
  return client.query(query, variables).subscribe(({ data, error, stale }) => {
    assert.equal(error, undefined, String(error));
    if (!stale) {
      show(data);
    }
  });
}

const idsOf = (list) => list.edges.map((edge) => edge.node.id);
const user = somebody();
const made = [];
let spreadId;
let newest;
let shown;

await claim('knows the schema by introspection, and its own description of the types fits', async () => {
  const schema = await queryServer(endpoint, network.session, getIntrospectionQuery());
  // Says on the console, and so ends the script, what of the following is not in the schema.
  const exchange = cacheExchange({
    schema,
    // A cursor is an item's place in a list: it distinguishes edges, and lets one that a mutation
    // returned be put into a list as it is.
    keys: { ReadingEdge: (edge) => edge.cursor },
    resolvers: {
      User: { readings: relayPagination() },
      Query: {
        publicReadings: relayPagination(),
        // An object in the cache already need not be requested by id.
        reading: (_parent, { id }) => ({ __typename: 'Reading', id }),
      },
    },
    updates,
  });
  client = new Client({
    url: endpoint,
    fetch: network.fetchFn,
    exchanges: [exchange, fetchExchange],
  });
});

await claim('registers a user', async () => {
  const { session, viewer } = await mutateWell(REGISTER, user);
  assert.equal(viewer.username, user.username);
  assert.ok(session.accessToken);
});

await claim('refuses a second user of the same name as a user error', async () => {
  const { session, userErrors } = await mutate(REGISTER, { ...somebody(), username: user.username });
  assert.equal(session, null);
  assert.deepEqual(userErrors.map(({ code, field }) => [code, field]), [['TAKEN', ['input', 'username']]]);
});

await claim('logs in', async () => {
  const { session, viewer } = await mutateWell(LOGIN, { login: user.email, password: user.password });
  assert.equal(viewer.username, user.username);
  network.session.accessToken = session.accessToken;
});

await claim('creates five readings', async () => {
  spreadId = await aSpread(endpoint, network.session);
  for (let number = 1; number <= 5; number += 1) {
    const question = `Question ${number}?`;
    const { readingEdge } = await mutateWell(CREATE, { question, spreadId });
    assert.equal(readingEdge.node.question, question);
    assert.equal(readingEdge.node.version, 1);
    made.push(readingEdge.node.id);
  }
});

await claim('pages through the viewer\'s readings, 2 at a time: each once, the newest first', async () => {
  for (const length of [2, 4, 5]) {
    const requests = await network.during(async () => {
      if (length === PAGE) {
        watch(VIEWER_READINGS, { first: PAGE }, ({ viewer }) => {
          shown = viewer;
        });
      } else {
        const after = shown.readings.pageInfo.endCursor;
        await client.query(VIEWER_READINGS, { first: PAGE, after }).toPromise();
      }
      await until(() => shown, ({ readings }) => readings.edges.length === length, `${length} readings`);
    });
    assert.deepEqual(requests, ['ViewerReadings']);
    assert.deepEqual(idsOf(shown.readings), newestFirst(made).slice(0, length));
    assert.equal(shown.readings.pageInfo.hasNextPage, length < 5);
    assert.equal(shown.all.totalCount, 5);
  }
});

await claim('sees a new reading first in the cached list, and the new length, without another request', async () => {
  const requests = await network.during(async () => {
    const { readingEdge } = await mutateWell(CREATE, { question: 'Question 6?', spreadId });
    newest = readingEdge;
    made.push(newest.node.id);
    await until(() => shown, ({ readings }) => readings.edges.length === 6, 'six readings');
  });
  assert.deepEqual(requests, ['CreateReading']);
  assert.deepEqual(idsOf(shown.readings), newestFirst(made));
  assert.equal(shown.readings.edges[0].node.question, 'Question 6?');
  assert.equal(shown.all.totalCount, 6);
});

await claim('may page on from the cursor of the edge that the mutation returned', async () => {
  const following = await readingsOnServer(endpoint, network.session, newest.cursor);
  assert.deepEqual(following.map((edge) => edge.node.id), newestFirst(made.slice(0, 5)));
});

const first = () => shown.readings.edges[0].node;

await claim('sees a changed reading in the cached list without another request', async () => {
  const { id } = newest.node;
  const requests = await network.during(async () => {
    await mutateWell(UPDATE, { id, question: 'Changed?', notes: 'A note.', expectedVersion: 1 });
    await until(first, (reading) => reading.question === 'Changed?', 'the change');
  });
  assert.deepEqual(requests, ['UpdateReading']);
  assert.deepEqual([first().id, first().notes, first().version], [id, 'A note.', 2]);
});

await claim('gets a conflict as a user error, and has the server\'s copy in the cache', async () => {
  const { id } = newest.node;
  const version = await changeElsewhere(endpoint, network.session, id, 'Changed elsewhere?');
  assert.equal(first().question, 'Changed?', 'the cache cannot know yet');
  const requests = await network.during(async () => {
    const payload = await mutate(UPDATE, { id, question: 'Changed too late?', expectedVersion: 2 });
    assert.deepEqual(payload.userErrors.map(({ code }) => code), ['CONFLICT']);
    assert.equal(payload.reading.question, 'Changed elsewhere?');
    assert.equal(payload.reading.version, version);
    await until(first, (reading) => reading.version === version, 'the other version');
  });
  assert.deepEqual(requests, ['UpdateReading']);
  assert.equal(first().question, 'Changed elsewhere?');
});

await claim('finds a reading of the list by its id alone, without a request', async () => {
  const requests = await network.during(async () => {
    const { data } = await client.query(READING_BY_ID, { id: made[1] }).toPromise();
    assert.equal(data.reading.question, 'Question 2?');
  });
  assert.deepEqual(requests, []);
});

await claim('sees a deleted reading gone from the cached list, and the new length, without another request', async () => {
  const id = made[1];
  const requests = await network.during(async () => {
    const { deletedReadingId } = await mutateWell(DELETE, { id });
    assert.equal(deletedReadingId, id);
    await until(() => shown, ({ readings }) => readings.edges.length === 5, 'five readings');
  });
  assert.deepEqual(requests, ['DeleteReading']);
  made.splice(1, 1);
  assert.deepEqual(idsOf(shown.readings), newestFirst(made));
  assert.equal(shown.all.totalCount, 5);
});

await claim('has the very list that the server has', async () => {
  const onServer = await readingsOnServer(endpoint, network.session);
  const pick = ({ cursor, node: { id, question } }) => ({ cursor, node: { id, question } });
  assert.deepEqual(shown.readings.edges.map(pick), onServer.map(pick));
});

await claim('pages through public readings, 20 at a time over 5 pages, without repeats', async () => {
  let list;
  const show = ({ publicReadings }) => {
    list = publicReadings;
  };
  await pageThroughPublicReadings(async (after) => {
    const known = list?.edges.length ?? 0;
    if (after === null) {
      watch(PUBLIC_READINGS, { first: PUBLIC_PAGE }, show);
    } else {
      await client.query(PUBLIC_READINGS, { first: PUBLIC_PAGE, after }).toPromise();
    }
    await until(() => list, ({ edges }) => edges.length > known, 'another page');
    return list;
  });
});

await claim('names a query by its hash over GET, and sends its text once', async () => {
  const { sent, fetchFn } = recordingFetch();
  const persisted = new Client({
    url: endpoint,
    fetch: fetchFn,
    exchanges: [persistedExchange({ generateHash: async (text) => hashOf(text) }), fetchExchange],
  });
  const query = unknownQuery();
  for (let time = 1; time <= 2; time += 1) {
    const { data, error } = await persisted.query(query, {}).toPromise();
    assert.equal(error, undefined);
    assert.equal(data.publicStats.cards, 78);
  }
  assert.deepEqual(sent, ['GET hash', 'GET text', 'GET hash']);
});

end();
