"""Resolvers' answers, by dnspython."""
