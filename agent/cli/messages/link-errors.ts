// French for what delivery says of the broker; a part of the list in errors.ts.
export const linkErrors: Record<string, string> = {
  'Expected the broker at {1} to accept the sensor, got: {2}': 'Le broker {1} n’a pas accepté le capteur : {2}',
  'Expected the broker to hold the connection, got: {1}': 'La connexion au broker a été perdue : {1}',
  'Expected to load the MQTT client, got: {1}': 'Attendu le chargement du client MQTT, obtenu : {1}',
  'check mqtt.url, the certificates and that the broker runs': 'vérifiez mqtt.url, les certificats et que le broker tourne',
  'wait: the courier connects again': 'attendez : le courrier se reconnecte',
  'Expected an answer of the broker, got none in {1} s': 'Attendu une réponse du broker, aucune reçue en {1} s',
  'Expected a PUBACK for {1}, got the end of the connection {2} times in a row: nothing is sent there for a while':
    'Attendu un PUBACK pour {1}, obtenu la fin de la connexion {2} fois de suite : rien n’y est envoyé pendant un moment',
  'Expected a PUBACK for {1}, got the end of the connection': 'Attendu un PUBACK pour {1}, obtenu la fin de la connexion',
  'Expected a PUBACK for {1}, got {2}': 'Attendu un PUBACK pour {1}, obtenu {2}',
  'Expected a SUBACK for {1}, got the end of the connection': 'Attendu un SUBACK pour {1}, obtenu la fin de la connexion',
  'Expected a {1} for {2}, got {3}': 'Attendu un {1} pour {2}, obtenu {3}',
  "check the broker's ACL for this sensor": 'vérifiez les droits (ACL) de ce capteur au broker',
  'Expected the broker to take a message of {1} bytes on {2}, got a Maximum Packet Size of {3}: it is not sent':
    'Le broker n’accepte pas les {1} octets du message pour {2}, sa taille maximale de paquet est {3} : il n’est pas envoyé',
  "raise the broker's limit (mosquitto: max_packet_size)": 'relevez la limite du broker (mosquitto : max_packet_size)',
  'wait: the event is kept and sent again': 'attendez : l’événement est gardé et sera renvoyé',
  'Expected a subscriber to {1}, got reason code {2}: nobody subscribes': 'Attendu un abonné à {1}, obtenu le code {2} : personne n’est abonné',
  'the platform must subscribe with a persistent session; mqtt.requireSubscriber: false if something other than a subscriber takes the messages':
    'la plateforme doit s’abonner avec une session persistante ; mqtt.requireSubscriber: false si les messages sont pris autrement que par un abonné',
};
