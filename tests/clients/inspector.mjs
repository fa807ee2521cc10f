// GraphQL Inspector's comparison of schema.graphql with a server's introspection: `node inspector.mjs
// http://127.0.0.1:8000`. Prints a line for each claim that it proved. Exits 1 at the first that does not hold, 2 on wrong
// usage.

import { assert, begin, queryServer } from './common.mjs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { diff } from '@graphql-inspector/core';
import { buildClientSchema, buildSchema, getIntrospectionQuery } from 'graphql';
import { blocksOf, writeFiles } from './blocks.mjs';

const { endpoint, claim, end } = begin('inspector');
const query = getIntrospectionQuery({
  specifiedByUrl: true,
  directiveIsRepeatable: true,
  schemaDescription: true,
  inputValueDeprecation: true,
});
const running = buildClientSchema(await queryServer(endpoint, { accessToken: null }, query));
const sdl = await readFile(new URL('../../schema.graphql', import.meta.url), 'utf8');
const rule = await ruleOfTheGuide();

async function ruleOfTheGuide() {
  const folder = await mkdtemp(path.join(tmpdir(), 'rule-'));
  try {
    await writeFiles(folder, await blocksOf('Compare the schema'));
    return createRequire(import.meta.url)(path.join(folder, 'without-directives.cjs'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const messages = (changes) => changes.map(({ message }) => message);

await claim('has no changes with the rule of the guide', async () => {
  assert.deepEqual(messages(await diff(buildSchema(sdl), running, [rule])), []);
});

await claim('has nothing but the places of directives without it, which introspection does not show', async () => {
  const changes = messages(await diff(buildSchema(sdl), running));
  const removed = changes.filter((message) => /^Directive '(cacheControl|specifiedBy)' was removed from /.test(message));
  assert.deepEqual(removed, changes);
  assert.equal(changes.length, sdl.match(/^(?!directive ).* @(cacheControl|specifiedBy)\(/gm).length);
});

await claim('has the changes that there are, with the rule of the guide', async () => {
  for (const [text, other, type] of [
    ['drawCount: Int!', 'drawCount: Int', 'FIELD_TYPE_CHANGED'],
    ['drawCount: Int!', 'drawnCount: Int!', 'FIELD_ADDED'],
    ['Who may receive a cached value.', 'Who may receive it.', 'TYPE_DESCRIPTION_CHANGED'],
    ['maxAge: Int\n', 'maxAge: Int!\n', 'DIRECTIVE_ARGUMENT_TYPE_CHANGED'],
  ]) {
    const changed = sdl.replace(text, other);
    assert.notEqual(changed, sdl, text);
    const changes = await diff(buildSchema(changed), running, [rule]);
    assert.ok(changes.some((change) => change.type === type), `${other}: ${messages(changes)}`);
  }
});

end();
