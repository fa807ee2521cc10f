// Validates documents by graphql-js, the reference implementation:
//
//     npm ci && node graphql-js.mjs <file>
//
// The file holds JSON: { "schema": SDL, "documents": [text, …] }. Prints one JSON line a document: null if it is
// valid, else the message of the first error; custom scalars have the formats of the server. Without documents:
// prints the introspection query and its result.

import { readFileSync } from 'node:fs';
import { GraphQLError, Kind, buildSchema, getIntrospectionQuery, graphqlSync, parse, validate } from 'graphql';

const [file, ...rest] = process.argv.slice(2);
if (file === undefined || rest.length > 0) {
  console.error('usage: node graphql-js.mjs <file>');
  process.exit(2);
}

const { schema: sdl, documents } = JSON.parse(readFileSync(file, 'utf8'));
const schema = buildSchema(sdl);

const isTime = (text) =>
  /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text));
const formats = {
  DateTime: isTime,
  Date: (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)),
  URL: (text) => /^https?:\/\//.test(text),
};
for (const [name, isValid] of Object.entries(formats)) {
  schema.getType(name).parseLiteral = (literal) => {
    if (literal.kind !== Kind.STRING || !isValid(literal.value)) {
      throw new GraphQLError(`not a ${name}`);
    }
    return literal.value;
  };
}

function validationError(text) {
  let document;
  try {
    document = parse(text);
  } catch (error) {
    return `syntax: ${error.message}`;
  }
  const [first] = validate(schema, document);
  return first ? first.message : null;
}

if (documents === undefined) {
  const source = getIntrospectionQuery({
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
    oneOf: true,
  });
  console.log(JSON.stringify({ source, result: graphqlSync({ schema, source }) }));
} else {
  for (const text of documents) {
    console.log(JSON.stringify(validationError(text)));
  }
}
