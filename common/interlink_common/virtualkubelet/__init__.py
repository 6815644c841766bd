"""Acts as interLink and its virtual kubelet do: request bodies (`bodies`), a client (`client`), and the judge of answers (`judge`)."""
