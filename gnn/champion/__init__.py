"""Which model gives the lender's scores: registered models, the gate between them, and the watch over the champion."""
