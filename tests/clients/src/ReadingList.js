import { graphql } from 'relay-runtime';

// The list's length stands outside of the connection, so that a mutation's payload brings it anew
// without any item of the list.
export const user = graphql`
  fragment ReadingList_user on User
  @argumentDefinitions(count: { type: "Int", defaultValue: 2 }, cursor: { type: "String" })
  @refetchable(queryName: "ReadingListPaginationQuery") {
    id
    all: readings(first: 0) {
      totalCount
    }
    readings(first: $count, after: $cursor) @connection(key: "ReadingList_readings") {
      edges {
        cursor
        node {
          id
          version
          question
          notes
          ...Reading_reading
        }
      }
    }
  }
`;

export const viewer = graphql`
  query ReadingListViewerQuery {
    viewer {
      id
      ...ReadingList_user
    }
  }
`;

export const create = graphql`
  mutation ReadingListCreateMutation($input: CreateReadingInput!, $connections: [ID!]!) {
    createReading(input: $input) {
      readingEdge @prependEdge(connections: $connections) {
        cursor
        node {
          id
          version
          question
          notes
          ...Reading_reading
        }
      }
      viewer {
        all: readings(first: 0) {
          totalCount
        }
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;

export const update = graphql`
  mutation ReadingListUpdateMutation($input: UpdateReadingInput!) {
    updateReading(input: $input) {
      reading {
        ...Reading_reading
        version
        question
        notes
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;

// The compiler heeds one such directive a field, so the id is asked for twice: to take the edge out of
// the list, and to have the store forget the reading wherever else it is.
export const remove = graphql`
  mutation ReadingListDeleteMutation($input: DeleteReadingInput!, $connections: [ID!]!) {
    deleteReading(input: $input) {
      deletedReadingId @deleteEdge(connections: $connections)
      deletedRecordId: deletedReadingId @deleteRecord
      viewer {
        all: readings(first: 0) {
          totalCount
        }
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;
