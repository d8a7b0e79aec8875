"""From a store and its seeds to trained models and what they say."""
