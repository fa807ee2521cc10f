import { graphql } from 'relay-runtime';

// A list of the query itself and not of an object: its pages are fetched by a query without an id.
export const readings = graphql`
  fragment PublicReadings_query on Query
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" })
  @refetchable(queryName: "PublicReadingsPaginationQuery") {
    publicReadings(first: $count, after: $cursor) @connection(key: "PublicReadings_publicReadings") {
      edges {
        node {
          id
          createdAt
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;

export const query = graphql`
  query PublicReadingsQuery {
    ...PublicReadings_query
  }
`;
