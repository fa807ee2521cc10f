// Apollo Client against a running server: `npm ci && node apollo.mjs http://127.0.0.1:8000`.
// The server needs its reference data and at least 101 public readings; the script makes a user of its own.
// Prints a line for each claim that it proved. Exits 1 at the first that does not hold, 2 on wrong usage.

// First, because it says how strict the client is to be.
import {
  PAGE,
  PUBLIC_PAGE,
  aSpread,
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
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client/core';
import { loadDevMessages, loadErrorMessages } from '@apollo/client/dev';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { relayStylePagination } from '@apollo/client/utilities';

const { endpoint, claim, end } = begin('apollo');
// Without these the client's complaints are numbers.
loadDevMessages();
loadErrorMessages();
const network = countingFetch();

const cache = new InMemoryCache({
  // Ids are unique over all types, so an id alone is a key. A mutation that returns nothing but
  // the id of what it deleted says then all that `evict` needs.
  dataIdFromObject: (object) => object.id,
  typePolicies: {
    Query: {
      fields: {
        // Lists have no arguments but those of paging yet: each is one list, for any field that
        // shows it.
        publicReadings: relayStylePagination(),
        // An object in the cache already need not be requested by id.
        node: {
          read: (known, { args, toReference, canRead }) => {
            const reference = toReference(args.id);
            return known ?? (canRead(reference) ? reference : undefined);
          },
        },
      },
    },
    User: { fields: { readings: relayStylePagination() } },
  },
});
const client = new ApolloClient({
  cache,
  link: ApolloLink.from([new HttpLink({ uri: endpoint, fetch: network.fetchFn })]),
});

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
const VIEWER_READINGS = gql`
  query ViewerReadings($first: Int!, $after: String) {
    viewer {
      id
      readings(first: $first, after: $after) {
        totalCount
        edges { cursor node { ...ReadingParts } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
  ${READING}
`;
const READING_BY_ID = gql`
  query ReadingById($id: ID!) {
    node(id: $id) { id ... on Reading { ...ReadingParts } }
  }
  ${READING}
`;
// The list's length changes as well. The payload's viewer brings it, without any item of the list.
const CREATE = gql`
  mutation CreateReading($input: CreateReadingInput!) {
    createReading(input: $input) {
      readingEdge { cursor node { ...ReadingParts } }
      viewer { id readings(first: 0) { totalCount } }
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
      viewer { id readings(first: 0) { totalCount } }
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

async function mutate(mutation, input, update) {
  const { data } = await client.mutate({ mutation, variables: { input }, update });
  const [payload] = Object.values(data);
  return payload;
}

async function mutateWell(...mutation) {
  const payload = await mutate(...mutation);
  assert.deepEqual(payload.userErrors, []);
  return payload;
}

const idsOf = (list) => list.edges.map((edge) => edge.node.id);
const user = somebody();
const made = [];
let viewerId;
let spreadId;
let newest;

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
  viewerId = viewer.id;
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

// The data of a component of an app: the list as the cache emits it to its subscribers.
const watched = client.watchQuery({ query: VIEWER_READINGS, variables: { first: PAGE } });
let shown;
function watch() {
  watched.subscribe(({ data, dataState }) => {
    shown = dataState === 'complete' ? data.viewer.readings : undefined;
  });
}

await claim('pages through the viewer\'s readings, 2 at a time: each once, the newest first', async () => {
  for (const length of [2, 4, 5]) {
    const requests = await network.during(async () => {
      if (length === PAGE) {
        watch();
      } else {
        await watched.fetchMore({ variables: { first: PAGE, after: shown.pageInfo.endCursor } });
      }
      await until(() => shown, (list) => list.edges.length === length, `${length} readings`);
    });
    assert.deepEqual(requests, ['ViewerReadings']);
    assert.deepEqual(idsOf(shown), newestFirst(made).slice(0, length));
    assert.equal(shown.pageInfo.hasNextPage, length < 5);
    assert.equal(shown.totalCount, 5);
  }
});

await claim('sees a new reading first in the cached list, and the new length, without another request', async () => {
  const requests = await network.during(async () => {
    const input = { question: 'Question 6?', spreadId };
    const { readingEdge } = await mutateWell(CREATE, input, (store, { data }) => {
      store.modify({
        id: viewerId,
        fields: {
          // The edge as the cache stores it: with a reference to the reading, which it has already.
          readings: (list, { toReference }) => {
            const { readingEdge } = data.createReading;
            const edge = { ...readingEdge, node: toReference(readingEdge.node) };
            return { ...list, edges: [edge, ...list.edges] };
          },
        },
      });
    });
    newest = readingEdge;
    made.push(newest.node.id);
    await until(() => shown, (list) => list.edges.length === 6, 'six readings');
  });
  assert.deepEqual(requests, ['CreateReading']);
  assert.deepEqual(idsOf(shown), newestFirst(made));
  assert.equal(shown.edges[0].node.question, 'Question 6?');
  assert.equal(shown.totalCount, 6);
});

await claim('may page on from the cursor of the edge that the mutation returned', async () => {
  const following = await readingsOnServer(endpoint, network.session, newest.cursor);
  assert.deepEqual(following.map((edge) => edge.node.id), newestFirst(made.slice(0, 5)));
});

await claim('sees a changed reading in the cached list without another request', async () => {
  const id = newest.node.id;
  const requests = await network.during(async () => {
    await mutateWell(UPDATE, { id, question: 'Changed?', notes: 'A note.', expectedVersion: 1 });
    await until(() => shown, (list) => list.edges[0].node.question === 'Changed?', 'the change');
  });
  assert.deepEqual(requests, ['UpdateReading']);
  const { node } = shown.edges[0];
  assert.deepEqual([node.id, node.notes, node.version], [id, 'A note.', 2]);
});

await claim('gets a conflict as a user error, and has the server\'s copy in the cache', async () => {
  const id = newest.node.id;
  const version = await changeElsewhere(endpoint, network.session, id, 'Changed elsewhere?');
  assert.equal(shown.edges[0].node.question, 'Changed?', 'the cache cannot know yet');
  const requests = await network.during(async () => {
    const payload = await mutate(UPDATE, { id, question: 'Changed too late?', expectedVersion: 2 });
    assert.deepEqual(payload.userErrors.map(({ code }) => code), ['CONFLICT']);
    assert.equal(payload.reading.question, 'Changed elsewhere?');
    assert.equal(payload.reading.version, version);
    await until(() => shown, (list) => list.edges[0].node.version === version, 'the other version');
  });
  assert.deepEqual(requests, ['UpdateReading']);
  assert.equal(shown.edges[0].node.question, 'Changed elsewhere?');
});

await claim('finds a reading of the list by its id alone, without a request', async () => {
  const requests = await network.during(async () => {
    const { data } = await client.query({ query: READING_BY_ID, variables: { id: made[1] } });
    assert.equal(data.node.question, 'Question 2?');
  });
  assert.deepEqual(requests, []);
});

await claim('sees a deleted reading gone from the cached list, and the new length, without another request', async () => {
  const id = made[1];
  const requests = await network.during(async () => {
    await mutateWell(DELETE, { id }, (store, { data }) => {
      assert.equal(data.deleteReading.deletedReadingId, id);
      assert.equal(store.evict({ id: data.deleteReading.deletedReadingId }), true);
      store.gc();
    });
    await until(() => shown, (list) => list.edges.length === 5, 'five readings');
  });
  assert.deepEqual(requests, ['DeleteReading']);
  made.splice(1, 1);
  assert.deepEqual(idsOf(shown), newestFirst(made));
  assert.equal(shown.totalCount, 5);
});

await claim('has the very list that the server has', async () => {
  const onServer = await readingsOnServer(endpoint, network.session);
  const pick = ({ cursor, node: { id, question } }) => ({ cursor, node: { id, question } });
  assert.deepEqual(shown.edges.map(pick), onServer.map(pick));
});

await claim('pages through public readings, 20 at a time over 5 pages, without repeats', async () => {
  const list = client.watchQuery({ query: PUBLIC_READINGS, variables: { first: PUBLIC_PAGE } });
  let data;
  list.subscribe((result) => {
    data = result.dataState === 'complete' ? result.data : undefined;
  });
  await pageThroughPublicReadings(async (after) => {
    const known = data?.publicReadings.edges.length ?? 0;
    if (after !== null) {
      await list.fetchMore({ variables: { first: PUBLIC_PAGE, after } });
    }
    await until(() => data, ({ publicReadings }) => publicReadings.edges.length > known, 'another page');
    return data.publicReadings;
  });
});

await claim('names a query by its hash over GET, and sends its text once', async () => {
  const { sent, fetchFn } = recordingFetch();
  const persisted = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([
      new PersistedQueryLink({ sha256: hashOf, useGETForHashedQueries: true }),
      new HttpLink({ uri: endpoint, fetch: fetchFn }),
    ]),
  });
  const query = gql(unknownQuery());
  for (let time = 1; time <= 2; time += 1) {
    const { data } = await persisted.query({ query, fetchPolicy: 'network-only' });
    assert.equal(data.publicStats.cards, 78);
  }
  assert.deepEqual(sent, ['GET hash', 'POST text', 'GET hash']);
  persisted.stop();
});

client.stop();
end();
