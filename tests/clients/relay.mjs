// The Relay compiler and runtime against a running server: `npm ci && node relay.mjs http://127.0.0.1:8000`.
// Compiles the documents in src/ against schema.graphql (SCHEMA names another one) and runs what came out.
// The server needs its reference data and at least 101 public readings; the script makes a user of its own.
// Prints a line for each claim that it proved. Exits 1 at the first that does not hold, 2 on wrong usage.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  PAGE,
  PUBLIC_PAGE,
  aSpread,
  assert,
  begin,
  changeElsewhere,
  countingFetch,
  newestFirst,
  pageThroughPublicReadings,
  readingsOnServer,
  somebody,
  until,
} from './common.mjs';

const require = createRequire(import.meta.url);
const compiler = require('relay-compiler');
const {
  ConnectionHandler,
  Environment,
  Network,
  RecordSource,
  Store,
  commitMutation,
  createOperationDescriptor,
  fetchQuery,
  getPaginationMetadata,
  getPaginationVariables,
  getRefetchMetadata,
  getRequest,
  getSelector,
} = require('relay-runtime');

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SCHEMA = process.env.SCHEMA ?? path.join(HERE, '../../schema.graphql');
const COMPILER_MS = 30_000;

const { endpoint, claim, end } = begin('relay');
const network = countingFetch();

// The compiler writes beside what it reads, so it gets a copy, which goes however the script ends.
const workshop = mkdtempSync(path.join(tmpdir(), 'wasteland-tarot-relay-'));
process.on('exit', () => rmSync(workshop, { recursive: true, force: true }));

function compile() {
  cpSync(path.join(HERE, 'src'), path.join(workshop, 'src'), { recursive: true });
  cpSync(SCHEMA, path.join(workshop, 'schema.graphql'));
  mkdirSync(path.join(workshop, 'generated'));
  const config = {
    src: './src',
    schema: './schema.graphql',
    artifactDirectory: './generated',
    language: 'javascript',
    // Node loads what comes out without any build step.
    eagerEsModules: false,
    jsModuleFormat: 'commonjs',
    noSourceControl: true,
    // Each scalar of the server's own has to be known here.
    requireCustomScalarTypes: true,
    customScalarTypes: { DateTime: 'string', URL: 'string' },
  };
  writeFileSync(path.join(workshop, 'package.json'), '{ "type": "commonjs" }');
  writeFileSync(path.join(workshop, 'relay.config.json'), JSON.stringify(config));
  assert.notEqual(compiler, null, `relay-compiler has no binary for ${process.platform} ${process.arch}`);
  const { status, error, stdout, stderr } = spawnSync(compiler, ['relay.config.json'], {
    cwd: workshop,
    encoding: 'utf8',
    timeout: COMPILER_MS,
  });
  assert.equal(error, undefined, String(error));
  assert.equal(status, 0, `relay-compiler ends with ${status}:\n${stdout}${stderr}`);
}

const artifact = (name) => require(path.join(workshop, 'generated', `${name}.graphql.js`));

const environment = new Environment({
  store: new Store(new RecordSource()),
  network: Network.create(async ({ text, name }, variables) => {
    const response = await network.fetchFn(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      body: JSON.stringify({ query: text, operationName: name, variables }),
    });
    return response.json();
  }),
});

function mutate(name, variables) {
  return new Promise((resolve, reject) => {
    commitMutation(environment, {
      mutation: artifact(name),
      variables,
      onCompleted: (data, errors) => (errors ? reject(new Error(JSON.stringify(errors))) : resolve(data)),
      onError: reject,
    });
  }).then((data) => Object.values(data)[0]);
}

async function mutateWell(name, variables) {
  const payload = await mutate(name, variables);
  assert.deepEqual(payload.userErrors, []);
  return payload;
}

// Does what `usePaginationFragment` does for a component: shows a fragment as the store has it, and
// loads the next page with the query that the compiler made of the fragment.
async function paginate(queryName, fragmentName, fragmentRefOf, show) {
  const operation = createOperationDescriptor(getRequest(artifact(queryName)), {});
  environment.retain(operation);
  await fetchQuery(environment, operation.request.node, {}).toPromise();
  const fragment = artifact(fragmentName);
  const selector = getSelector(fragment, fragmentRefOf(environment.lookup(operation.fragment).data));
  const snapshot = environment.lookup(selector);
  const showComplete = ({ data, isMissingData }) => isMissingData || show(data);
  environment.subscribe(snapshot, showComplete);
  showComplete(snapshot);

  const { paginationRequest, paginationMetadata } = getPaginationMetadata(fragment, fragmentName);
  const { identifierInfo } = getRefetchMetadata(fragment, fragmentName);
  return async (count, cursor, id) => {
    const variables = getPaginationVariables(
      'forward',
      count,
      cursor,
      operation.request.variables,
      {},
      paginationMetadata,
    );
    if (identifierInfo) {
      variables[identifierInfo.identifierQueryVariableName] = id;
    }
    await fetchQuery(environment, paginationRequest, variables).toPromise();
  };
}

const idsOf = (list) => list.edges.map((edge) => edge.node.id);
const user = somebody();
const made = [];
let viewerId;
let connections;
let spreadId;
let newest;
let shown;

await claim('the compiler accepts the schema and every document', async () => {
  compile();
  assert.deepEqual(readdirSync(path.join(workshop, 'generated')).sort(), [
    'PublicReadingsPaginationQuery.graphql.js',
    'PublicReadingsQuery.graphql.js',
    'PublicReadings_query.graphql.js',
    'ReadingListCreateMutation.graphql.js',
    'ReadingListDeleteMutation.graphql.js',
    'ReadingListPaginationQuery.graphql.js',
    'ReadingListUpdateMutation.graphql.js',
    'ReadingListViewerQuery.graphql.js',
    'ReadingList_user.graphql.js',
    'ReadingRefetchQuery.graphql.js',
    'Reading_reading.graphql.js',
    'SessionLoginMutation.graphql.js',
    'SessionRegisterMutation.graphql.js',
  ]);
});

await claim('registers a user', async () => {
  const { session, viewer } = await mutateWell('SessionRegisterMutation', { input: user });
  assert.equal(viewer.username, user.username);
  assert.ok(session.accessToken);
});

await claim('refuses a second user of the same name as a user error', async () => {
  const input = { ...somebody(), username: user.username };
  const { session, userErrors } = await mutate('SessionRegisterMutation', { input });
  assert.equal(session, null);
  assert.deepEqual(userErrors.map(({ code, field }) => [code, field]), [['TAKEN', ['input', 'username']]]);
});

await claim('logs in', async () => {
  const input = { login: user.email, password: user.password };
  const { session, viewer } = await mutateWell('SessionLoginMutation', { input });
  assert.equal(viewer.username, user.username);
  network.session.accessToken = session.accessToken;
  viewerId = viewer.id;
  connections = [ConnectionHandler.getConnectionID(viewerId, 'ReadingList_readings')];
});

await claim('creates five readings', async () => {
  spreadId = await aSpread(endpoint, network.session);
  for (let number = 1; number <= 5; number += 1) {
    const input = { question: `Question ${number}?`, spreadId };
    // The list is not in the store yet, so there is none to put them into.
    const { readingEdge } = await mutateWell('ReadingListCreateMutation', { input, connections: [] });
    assert.equal(readingEdge.node.question, input.question);
    assert.equal(readingEdge.node.version, 1);
    made.push(readingEdge.node.id);
  }
});

await claim('pages through the viewer\'s readings, 2 at a time: each once, the newest first', async () => {
  let loadNext;
  for (const length of [2, 4, 5]) {
    const requests = await network.during(async () => {
      if (length === PAGE) {
        const fragmentRefOf = ({ viewer }) => viewer;
        loadNext = await paginate('ReadingListViewerQuery', 'ReadingList_user', fragmentRefOf, (data) => {
          shown = data;
        });
      } else {
        await loadNext(PAGE, shown.readings.pageInfo.endCursor, viewerId);
      }
      await until(() => shown, ({ readings }) => readings.edges.length === length, `${length} readings`);
    });
    assert.deepEqual(requests, [length === PAGE ? 'ReadingListViewerQuery' : 'ReadingListPaginationQuery']);
    assert.deepEqual(idsOf(shown.readings), newestFirst(made).slice(0, length));
    assert.equal(shown.readings.pageInfo.hasNextPage, length < 5);
    assert.equal(shown.all.totalCount, 5);
  }
});

await claim('sees a new reading first in the store\'s list, and the new length, without another request', async () => {
  const requests = await network.during(async () => {
    const input = { question: 'Question 6?', spreadId };
    const { readingEdge } = await mutateWell('ReadingListCreateMutation', { input, connections });
    newest = readingEdge;
    made.push(newest.node.id);
    await until(() => shown, ({ readings }) => readings.edges.length === 6, 'six readings');
  });
  assert.deepEqual(requests, ['ReadingListCreateMutation']);
  assert.deepEqual(idsOf(shown.readings), newestFirst(made));
  assert.equal(shown.readings.edges[0].node.question, 'Question 6?');
  assert.equal(shown.all.totalCount, 6);
});

await claim('may page on from the cursor of the edge that the mutation returned', async () => {
  const following = await readingsOnServer(endpoint, network.session, newest.cursor);
  assert.deepEqual(following.map((edge) => edge.node.id), newestFirst(made.slice(0, 5)));
});

const first = () => shown.readings.edges[0].node;

await claim('sees a changed reading in the store\'s list without another request', async () => {
  const { id } = newest.node;
  const requests = await network.during(async () => {
    const input = { id, question: 'Changed?', notes: 'A note.', expectedVersion: 1 };
    await mutateWell('ReadingListUpdateMutation', { input });
    await until(first, (reading) => reading.question === 'Changed?', 'the change');
  });
  assert.deepEqual(requests, ['ReadingListUpdateMutation']);
  assert.deepEqual([first().id, first().notes, first().version], [id, 'A note.', 2]);
});

await claim('gets a conflict as a user error, and has the server\'s copy in the store', async () => {
  const { id } = newest.node;
  const version = await changeElsewhere(endpoint, network.session, id, 'Changed elsewhere?');
  assert.equal(first().question, 'Changed?', 'the store cannot know yet');
  const requests = await network.during(async () => {
    const input = { id, question: 'Changed too late?', expectedVersion: 2 };
    const payload = await mutate('ReadingListUpdateMutation', { input });
    assert.deepEqual(payload.userErrors.map(({ code }) => code), ['CONFLICT']);
    assert.equal(payload.reading.question, 'Changed elsewhere?');
    assert.equal(payload.reading.version, version);
    await until(first, (reading) => reading.version === version, 'the other version');
  });
  assert.deepEqual(requests, ['ReadingListUpdateMutation']);
  assert.equal(first().question, 'Changed elsewhere?');
});

await claim('refetches one reading through node, and its list shows what is new', async () => {
  const id = made[1];
  const version = await changeElsewhere(endpoint, network.session, id, 'Changed again?');
  const nodeInList = () => shown.readings.edges.map((edge) => edge.node).find((node) => node.id === id);
  assert.equal(nodeInList().question, 'Question 2?', 'the store cannot know yet');
  const { refetchableRequest } = getRefetchMetadata(artifact('Reading_reading'), 'Reading_reading');
  const requests = await network.during(async () => {
    await fetchQuery(environment, refetchableRequest, { id }).toPromise();
    await until(nodeInList, (node) => node.version === version, 'the other version');
  });
  assert.deepEqual(requests, ['ReadingRefetchQuery']);
  assert.equal(nodeInList().question, 'Changed again?');
});

await claim('sees a deleted reading gone from the store and its list, and the new length, without another request', async () => {
  const id = made[1];
  const requests = await network.during(async () => {
    const payload = await mutateWell('ReadingListDeleteMutation', { input: { id }, connections });
    assert.equal(payload.deletedReadingId, id);
    await until(() => shown, ({ readings }) => readings.edges.length === 5, 'five readings');
  });
  assert.deepEqual(requests, ['ReadingListDeleteMutation']);
  made.splice(1, 1);
  assert.deepEqual(idsOf(shown.readings), newestFirst(made));
  assert.equal(shown.all.totalCount, 5);
  assert.equal(environment.getStore().getSource().get(id), null, 'the store knows that it is deleted');
});

await claim('has the very list that the server has', async () => {
  const onServer = await readingsOnServer(endpoint, network.session);
  const pick = ({ cursor, node: { id, question } }) => ({ cursor, node: { id, question } });
  assert.deepEqual(shown.readings.edges.map(pick), onServer.map(pick));
});

await claim('pages through public readings, 20 at a time over 5 pages, without repeats', async () => {
  let list;
  let loadNext;
  const show = ({ publicReadings }) => {
    list = publicReadings;
  };
  await pageThroughPublicReadings(async (after) => {
    const known = list?.edges.length ?? 0;
    if (after === null) {
      loadNext = await paginate('PublicReadingsQuery', 'PublicReadings_query', (data) => data, show);
    } else {
      await loadNext(PUBLIC_PAGE, after);
    }
    await until(() => list, ({ edges }) => edges.length > known, 'another page');
    return list;
  });
});

end();
