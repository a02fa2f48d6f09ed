"""Amazon Bedrock's Converse for Polyglot."""
