import { graphql } from 'relay-runtime';

export const register = graphql`
  mutation SessionRegisterMutation($input: RegisterInput!) {
    register(input: $input) {
      session {
        accessToken
      }
      viewer {
        id
        username
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;

export const login = graphql`
  mutation SessionLoginMutation($input: LoginInput!) {
    login(input: $input) {
      session {
        accessToken
      }
      viewer {
        id
        username
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;
