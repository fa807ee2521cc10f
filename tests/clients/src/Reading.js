import { graphql } from 'relay-runtime';

// Relay refetches a reading by itself through `node`, and so writes that query by its own.
export const reading = graphql`
  fragment Reading_reading on Reading @refetchable(queryName: "ReadingRefetchQuery") {
    id
    version
    question
    notes
    createdAt
    shareLinks {
      id
      url
    }
    cards {
      position
      orientation
      card {
        code
        name
      }
    }
  }
`;
