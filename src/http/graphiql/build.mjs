// Builds dist/ from src/ and examples/: `npm ci && npm run build`. The result is committed, so that the server
// builds without Node.js; it is the same for the same sources and lock file.
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { licences } from './licences.mjs';

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(root, 'dist');
const ASSETS_URL = '/graphiql/assets/';

const adopted = JSON.stringify(path.join(root, 'src/adopted-styles.js'));

// Changes to library modules, by their path in node_modules: pairs of what to replace and by what, or a string
// in place of the whole module. Where a pair finds nothing the build fails, so that a new version
// of a library is reviewed.
const PATCHES = {
  // Inline styles, see src/adopted-styles.js.
  'monaco-editor/esm/vs/base/browser/dom.js': [
    [
      /(export function createStyleSheet\(container[^{]*\{)[\s\S]*?\n\}\n/,
      `import { adoptStyle } from ${adopted};\n$1
        const style = adoptStyle(container);
        beforeAppend?.(style);
        disposableStore?.add(toDisposable(() => style.remove()));
        return style;
      }\n`,
    ],
  ],
  'monaco-editor/esm/vs/base/browser/ui/contextview/contextview.js': [
    [
      /const style = document\.createElement\('style'\);\s*style\.textContent = SHADOW_ROOT_CSS;\s*this\.shadowRoot\.appendChild\(style\);/,
      'DOM.createStyleSheet(this.shadowRoot).textContent = SHADOW_ROOT_CSS;',
    ],
  ],
  'monaco-editor/esm/vs/editor/browser/view/viewLayer.js': [
    [/^/, `import { insertHtmlAfter, setHtml } from ${adopted};\n`],
    ['this._domNode.innerHTML = newLinesHTML;', 'setHtml(this._domNode, newLinesHTML);'],
    ["lastChild.insertAdjacentHTML('afterend', newLinesHTML);", 'insertHtmlAfter(lastChild, newLinesHTML);'],
    ['hugeDomNode.innerHTML = invalidLinesHTML;', 'setHtml(hugeDomNode, invalidLinesHTML);'],
  ],
  'react-style-singleton/dist/es2015/singleton.js': `
    import { adoptStyle } from ${adopted};
    export function stylesheetSingleton() {
      let users = 0;
      let style;
      return {
        add(css) {
          if (users++ === 0) (style = adoptStyle(document)).textContent = css;
        },
        remove() {
          if (--users === 0) style.remove();
        },
      };
    }`,

  // Prettier's JavaScript parser (600 kB) only to lay out JSON, which jsonc-parser, used beside it, does too.
  '@graphiql/react/dist/utility/jsonc.js': [
    ['import { parse, printParseErrorCode }', 'import { applyEdits, format, parse, printParseErrorCode }'],
    [
      /async function formatJSONC\(content\) \{[\s\S]*?\n\}\n/,
      `async function formatJSONC(content) {
        return applyEdits(content, format(content, undefined, { insertSpaces: true, tabSize: 2 }));
      }\n`,
    ],
  ],
  // "Format document" is not among the parts in src/monaco.js, so its second copy of Prettier has no caller.
  'monaco-graphql/esm/GraphQLWorker.js': [
    [/const prettierStandalone = await import[\s\S]*?\n {4}\}\n/, 'return null;\n    }\n'],
  ],

  // The editor that compares two texts, and what computes the differences.
  'monaco-editor/esm/vs/editor/browser/widget/diffEditor/diffEditorWidget.js': 'export class DiffEditorWidget {}',
  'monaco-editor/esm/vs/editor/browser/widget/multiDiffEditor/multiDiffEditorWidget.js':
    'export class MultiDiffEditorWidget {}',
  'monaco-editor/esm/vs/editor/common/diff/linesDiffComputers.js': 'export const linesDiffComputers = {};',
};
const patched = new Set();

const libraries = {
  name: 'libraries',
  setup(build) {
    // One copy of Prettier's GraphQL plugin: it is asked for under two names.
    build.onResolve({ filter: /^prettier\/parser-graphql$/ }, ({ importer, kind, resolveDir }) =>
      build.resolve('prettier/plugins/graphql', { importer, kind, resolveDir }),
    );
    // Monaco in the parts that are used.
    build.onResolve({ filter: /monaco-editor(\.js)?$/ }, ({ importer, path: wanted }) => {
      const whole = wanted === 'monaco-graphql/esm/monaco-editor.js';
      const fromInside = wanted === './monaco-editor' && importer.includes('/monaco-graphql/');
      return whole || fromInside ? { path: path.join(root, 'src/monaco.js') } : undefined;
    });
    build.onLoad({ filter: /\/node_modules\/.*\.js$/ }, async ({ path: file }) => {
      const name = file.slice(file.lastIndexOf('/node_modules/') + '/node_modules/'.length);
      const patch = PATCHES[name];
      if (typeof patch === 'string') {
        patched.add(name);
        return { contents: patch, resolveDir: path.dirname(file) };
      }
      let contents = await readFile(file, 'utf8');
      for (const [from, to] of patch ?? []) {
        const changed = contents.replace(from, to);
        if (changed === contents) throw new Error(`${name} has changed: ${from} is not in it`);
        contents = changed;
        patched.add(name);
      }
      return { contents: withStaticImports(name, contents) };
    });
  },
};

// With everything in one file, import("…") splits nothing: it only keeps the bundler from leaving out what is
// not used.
function withStaticImports(name, contents) {
  if (!/^(@graphiql|monaco-graphql|monaco-editor\/esm\/vs\/(language\/json|basic-languages\/graphql))\//.test(name)) {
    return contents;
  }
  const imports = [];
  const changed = contents.replace(/\bimport\((["'][^"'`]+["'])\)/g, (_, wanted) => {
    imports.push(`import * as __static${imports.length} from ${wanted};\n`);
    return `Promise.resolve(__static${imports.length - 1})`;
  });
  return imports.join('') + changed;
}

// `import examples from 'examples'`: the files of examples/ in the order of their names, as GraphiQL's tabs.
const examples = {
  name: 'examples',
  setup(build) {
    build.onResolve({ filter: /^examples$/ }, () => ({ path: 'examples', namespace: 'examples' }));
    build.onLoad({ filter: /./, namespace: 'examples' }, async () => {
      const folder = path.join(root, 'examples');
      const names = (await readdir(folder)).sort();
      const tabs = names
        .filter((name) => name.endsWith('.graphql'))
        .map(async (name) => {
          const variables = name.replace(/\.graphql$/, '.variables.json');
          return {
            query: await readFile(path.join(folder, name), 'utf8'),
            variables: names.includes(variables) ? await readFile(path.join(folder, variables), 'utf8') : undefined,
          };
        });
      return { contents: JSON.stringify(await Promise.all(tabs)), loader: 'json' };
    });
  },
};

const common = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  metafile: true,
  charset: 'utf8',
  legalComments: 'none', // collected in dist/licences.txt
  target: ['chrome111', 'firefox113', 'safari16.4'],
  define: { 'process.env.NODE_ENV': '"production"' },
  outdir: 'dist/assets',
  entryNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  plugins: [libraries, examples],
  logLevel: 'warning',
};

await rm(dist, { recursive: true, force: true });

const worker = await esbuild.build({ ...common, entryPoints: ['src/worker.js'], format: 'iife' });
const page = await esbuild.build({
  ...common,
  entryPoints: ['src/main.jsx', 'src/icon.svg'],
  format: 'esm',
  jsx: 'automatic',
  loader: { '.svg': 'copy', '.ttf': 'file' },
  define: { ...common.define, WORKER: JSON.stringify(ASSETS_URL + outputs(worker, '.js')) },
});

for (const name of Object.keys(PATCHES)) {
  if (!patched.has(name)) throw new Error(`${name} is no longer part of the bundle, drop its patch`);
}

const html = await readFile(path.join(root, 'src/index.html'), 'utf8');
const urls = { css: outputs(page, '.css'), icon: outputs(page, '.svg'), js: outputs(page, '.js') };
await writeFile(
  path.join(dist, 'index.html'),
  html.replace(/\{\{(\w+)\}\}/g, (_, kind) => ASSETS_URL + urls[kind]),
);
await writeFile(path.join(dist, 'licences.txt'), await licences(root, [worker.metafile, page.metafile]));

// The file name of the one output with that ending.
function outputs({ metafile }, ending) {
  const names = Object.keys(metafile.outputs).filter((name) => name.endsWith(ending));
  if (names.length !== 1) throw new Error(`one ${ending} file expected, got ${names}`);
  return path.basename(names[0]);
}
