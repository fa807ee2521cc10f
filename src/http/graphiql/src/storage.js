// Local storage as GraphiQL expects it, minus what must not be kept there: GraphiQL's history would store the
// headers of every request, access tokens included, even where its settings say that headers are not kept.
const HISTORY_KEYS = new Set(['graphiql:queries', 'graphiql:favorites']);

function withoutHeaders(name, value) {
  return name === 'headers' ? undefined : value;
}

export const storageWithoutHeaders = {
  getItem: (key) => localStorage.getItem(key),
  setItem(key, value) {
    const kept = HISTORY_KEYS.has(key) ? JSON.stringify(JSON.parse(value), withoutHeaders) : value;
    localStorage.setItem(key, kept);
  },
  removeItem: (key) => localStorage.removeItem(key),
  get length() {
    return ownKeys().length;
  },
  clear() {
    for (const key of ownKeys()) localStorage.removeItem(key);
  },
};

function ownKeys() {
  return Object.keys(localStorage).filter((key) => key.startsWith('graphiql:'));
}
