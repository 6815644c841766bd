"""interLink plugin that runs pods as jobs of an HTCondor pool."""
