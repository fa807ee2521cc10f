// Apps of the blocks in docs/clients.md, with the manifests that their tools generate: `node generate.mjs <folder>`,
// a folder below this one, so that the apps find its packages. Writes `<folder>/codegen`, the same app with the client
// preset of version 5 as `<folder>/codegen-5`, and `<folder>/manifest`. Exits 1 if a tool or the type check fails.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { blocksOf, writeFiles } from './blocks.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const CACHE = 'Clients with a normalised cache';
const folder = path.resolve(process.argv[2]);
const TYPESCRIPT = {
  compilerOptions: {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: 'es2022',
    lib: ['es2022', 'dom'],
    types: [],
    module: 'esnext',
    moduleResolution: 'bundler',
    resolveJsonModule: true,
  },
  include: ['*.ts', 'src'],
};

// What the documents of the guide do not have: a fragment, types by condition, a directive, a default, characters beyond
// ASCII, and scalars.
const MORE_OF_CODEGEN = `
import type { ResultOf } from '@graphql-typed-document-node/core';
import { execute } from './fetch';
import { graphql } from './gql';
import { CARDS } from './operations';

export const CARD_PARTS = graphql(\`
  fragment CardParts on Card { id name suit @include(if: $withSuit) }
\`);

export const NODES = graphql(\`
  query Nodes($ids: [ID!]!, $withSuit: Boolean! = true) {
    nodes(ids: $ids) { ...CardParts ... on Spread { id displayName } }
    none: cards(first: 1, search: "卡é") { totalCount }
  }
\`);

export const READINGS = graphql(\`
  query Readings($before: DateTime!) {
    publicReadings(first: 2, filter: { createdAt: { to: $before } }) {
      edges { node { id createdAt } }
      pageInfo { hasNextPage endCursor }
    }
  }
\`);

export const timesOf = (data: ResultOf<typeof READINGS>): string[] =>
  data.publicReadings.edges.map(({ node }) => node.createdAt);

// @ts-expect-error Variables have the types of the schema.
export const wrong = () => execute(CARDS, { first: 'three' });
`;

const MORE_OF_MANIFEST = `
import { gql } from '@apollo/client';

export const CARD_PARTS = gql\`
  fragment CardParts on Card { id name }
\`;

export const NODES = gql\`
  query Nodes($ids: [ID!]!) { nodes(ids: $ids) { ...CardParts } }
  \${CARD_PARTS}
\`;

export const LOG_IN = gql\`
  mutation LogIn($input: LoginInput!) { login(input: $input) { session { accessToken } userErrors { code } } }
\`;
`;

// Runs the program of a package in the folder of an app.
async function run(app, program, ...words) {
  try {
    await promisify(execFile)(path.join(HERE, 'node_modules/.bin', program), words, { cwd: path.join(folder, app) });
  } catch ({ message, stdout, stderr }) {
    console.error(`${program} failed in ${app}: ${message}\n${stdout}${stderr}`);
    process.exit(1);
  }
}

const tsconfig = ['tsconfig.json', JSON.stringify(TYPESCRIPT)];

async function generateByCodegen(app) {
  await writeFiles(path.join(folder, app), [
    ...(await blocksOf(CACHE)),
    ...(await blocksOf('GraphQL Code Generator')),
    ['src/more.ts', MORE_OF_CODEGEN],
    ['schema.graphql', await readFile(path.join(HERE, '../../schema.graphql'), 'utf8')],
    tsconfig,
  ]);
  await run(app, 'graphql-codegen');
  await run(app, 'tsc');
}

// The generator brings a preset of version 5 for those who name none.
async function pinPreset5(app) {
  const scope = path.join(folder, app, 'node_modules/@graphql-codegen');
  await mkdir(scope, { recursive: true });
  const own = path.join(HERE, 'node_modules/@graphql-codegen/cli/node_modules/@graphql-codegen/client-preset');
  const { version } = JSON.parse(await readFile(path.join(own, 'package.json'), 'utf8'));
  assert.match(version, /^5\./);
  await symlink(own, path.join(scope, 'client-preset'));
}

async function generateManifest(app) {
  await writeFiles(path.join(folder, app), [
    ...(await blocksOf(CACHE)),
    ...(await blocksOf("Apollo's manifest")),
    ['src/more.ts', MORE_OF_MANIFEST],
    tsconfig,
  ]);
  await run(app, 'generate-persisted-query-manifest');
  await run(app, 'tsc');
}

await Promise.all([
  generateByCodegen('codegen'),
  pinPreset5('codegen-5').then(() => generateByCodegen('codegen-5')),
  generateManifest('manifest'),
]);
