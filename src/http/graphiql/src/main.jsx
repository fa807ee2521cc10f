import './monaco.js';
import './style.css';
import examples from 'examples';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { storageWithoutHeaders } from './storage.js';

globalThis.MonacoEnvironment = {
  getWorker: (_moduleId, label) => new Worker(WORKER, { name: label }),
};

// Subscriptions open a WebSocket; the headers that were typed go along as its connection parameters.
const endpoint = new URL('/graphql', location.href);
const socket = new URL(endpoint);
socket.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
const fetcher = createGraphiQLFetcher({
  url: endpoint.href,
  subscriptionUrl: socket.href,
  enableIncrementalDelivery: false,
});

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={examples}
    defaultEditorToolsVisibility
    shouldPersistHeaders={false}
    storage={storageWithoutHeaders}
  >
    <GraphiQL.Logo>Wasteland Tarot</GraphiQL.Logo>
  </GraphiQL>,
);
