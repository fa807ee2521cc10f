// One worker script for all of Monaco's workers, told apart by the name they are started with: the three
// scripts that Monaco ships each carry the same 250 kB of editor. Each module answers the first message
// itself, so only the one that is meant may be evaluated.
switch (self.name) {
  case 'graphql':
    require('monaco-graphql/esm/graphql.worker.js');
    break;
  case 'json':
    require('monaco-editor/esm/vs/language/json/json.worker.js');
    break;
  default:
    require('monaco-editor/esm/vs/editor/editor.worker.js');
}
