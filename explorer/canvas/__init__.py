"""The canvas without its page: what is searched, fetched, shown and kept; no Dash and no browser here."""
