// French for what `provision` refuses; a part of errors.ts.
export const provisionErrors: Record<string, string> = {
  'Expected a sensor without a key, got one at {1}': 'Attendu un capteur sans clé, obtenu une clé à {1}',
  'sudo tocsin provision --renew makes another; the present key stays in force until the new one is installed':
    'sudo tocsin provision --renew en fait une autre ; la clé actuelle reste en vigueur jusqu’à l’installation de la nouvelle',
  'Expected a private key at {1}, got: {2}': 'Attendu une clé privée à {1}, obtenu : {2}',
  'sudo tocsin provision {1} makes another': 'sudo tocsin provision {1} en fait une autre',
  'Expected openssl to sign the request, got: {1}': 'openssl n’a pas pu signer la demande : {1}',
  'sudo apt install openssl': 'sudo apt install openssl',
  'Expected a key of this sensor at {1}, got none': 'Attendu une clé de ce capteur à {1}, obtenu aucune',
  'sudo tocsin provision first': 'd’abord sudo tocsin provision',
  'Expected a certificate for the key {1} of this sensor, got one for {2}':
    'Attendu un certificat pour la clé {1} de ce capteur, obtenu un certificat pour {2}',
  'sudo tocsin provision --renew prints the request that is to be signed': 'sudo tocsin provision --renew affiche la demande à signer',
  'sudo tocsin provision prints the request that is to be signed': 'sudo tocsin provision affiche la demande à signer',
  'Expected a certificate for CN={1}, got CN={2}': 'Attendu un certificat pour CN={1}, obtenu CN={2}',
  "the broker's ACL uses this name: sign the request that this sensor made":
    'le broker accorde les droits selon ce nom : signez la demande faite par ce capteur',
  'Expected a certificate for client authentication, got one for {1}': 'Attendu un certificat d’authentification client, obtenu un certificat pour {1}',
  'sign it with extendedKeyUsage=clientAuth': 'signez-le avec extendedKeyUsage=clientAuth',
  'Expected a certificate valid at {1}, got one valid from {2} on': 'Attendu un certificat valable au {1}, obtenu un certificat valable à partir du {2}',
  'is the clock right? date; timedatectl shows whether it is synchronised': 'l’horloge est-elle juste ? date ; timedatectl dit si elle est synchronisée',
  'Expected a certificate valid at {1}, got one that expired on {2}': 'Attendu un certificat valable au {1}, obtenu un certificat expiré le {2}',
  'Expected a certificate valid at {1}, got one valid from {2} to {3}': 'Attendu un certificat valable au {1}, obtenu un certificat valable du {2} au {3}',
  'openssl x509 -in FILE -noout -dates shows the same; ask for another': 'openssl x509 -in FICHIER -noout -dates montre la même chose ; demandez-en un autre',
  'before and behind BEGIN CERTIFICATE stand five hyphens, no dashes: ask for the file itself, or type them anew':
    'avant et après BEGIN CERTIFICATE il faut cinq traits d’union, pas de tirets : demandez le fichier même, ou retapez-les',
  'ask for another; if the clock is wrong, set it first': 'demandez-en un autre ; si l’horloge est fausse, réglez-la d’abord',
  'Expected a certificate signed by {1}, got one of {2}': 'Attendu un certificat signé par {1}, obtenu un certificat signé par {2}',
  "--ca names the operator's authority; where the broker has another, put both in that file":
    '--ca nomme l’autorité de l’exploitant ; si le broker en a une autre, mettez les deux dans ce fichier',
  'Expected an authority valid at {1}, got {2}, from {3} to {4}': 'Attendu une autorité valable au {1}, obtenu {2}, du {3} au {4}',
  'ask the operator for the one in force; if the clock is wrong, set it first':
    'demandez à l’exploitant celle en vigueur ; si l’horloge est fausse, mettez-la d’abord à l’heure',
  'Expected an authority (CA:true, and keyCertSign where it has a key usage), got {1}, which is none':
    'Attendu une autorité (CA:true, et keyCertSign si elle a un usage de clé), obtenu {1}, qui n’en est pas une',
  'openssl x509 -in FILE -noout -text shows it; ask the operator for one that may sign':
    'openssl x509 -in FICHIER -noout -text le montre ; demandez à l’exploitant une autorité qui peut signer',
  'Expected a self-signed root authority in {1}, got {2}': 'Attendu une autorité racine auto-signée dans {1}, obtenu {2}',
  'put the root above it into that file too: without it the sensor trusts no broker':
    'mettez aussi dans ce fichier la racine au-dessus d’elle : sans elle le capteur ne fait confiance à aucun broker',
  'Expected three different files for mqtt.keyFile, mqtt.certFile and mqtt.caFile, got {1} twice':
    'Attendu trois fichiers différents pour mqtt.keyFile, mqtt.certFile et mqtt.caFile, obtenu {1} deux fois',
  "Expected mqtt.caFile to name a file of this sensor alone, got {1}, which is the system's":
    'Attendu pour mqtt.caFile un fichier de ce seul capteur, obtenu {1}, qui est celui du système',
  'name another one in the configuration, for instance mqtt.caFile: ca.pem; --ca then puts the authority there':
    'nommez-en un autre dans la configuration, par exemple mqtt.caFile: ca.pem ; --ca y place alors l’autorité',
  'name them for instance sensor.key, sensor.pem and ca.pem; otherwise one would overwrite the other':
    'nommez-les par exemple sensor.key, sensor.pem et ca.pem ; sinon l’un écraserait l’autre',
  'Expected a file at {1}, got: {2}': 'Attendu un fichier à {1}, obtenu : {2}',
  'sudo tocsin provision --install sensor.pem --ca ca.pem': 'sudo tocsin provision --install sensor.pem --ca ca.pem',
  'Expected certificates alone in {1}, got a private key': 'Attendu seulement des certificats dans {1}, obtenu une clé privée',
  'a private key must never leave its sensor: have the request of this sensor signed':
    'une clé privée ne doit jamais quitter son capteur : faites signer la demande de ce capteur',
  'Expected a certificate (PEM) in {1}, got a certificate request': 'Attendu un certificat (PEM) dans {1}, obtenu une demande de certificat',
  'send the request to the authority that signs; --install takes the certificate that comes back':
    'envoyez la demande à l’autorité qui signe ; --install prend le certificat reçu en retour',
  'Expected a certificate (PEM) in {1}, got none': 'Attendu un certificat (PEM) dans {1}, obtenu aucun',
  'from DER: openssl x509 -in FILE -out sensor.pem; from PKCS#7 (p7b): openssl pkcs7 -print_certs -in FILE -out sensor.pem, with -inform DER if it is DER':
    'depuis DER : openssl x509 -in FICHIER -out sensor.pem ; depuis PKCS#7 (p7b) : openssl pkcs7 -print_certs -in FICHIER -out sensor.pem, avec -inform DER s’il est en DER',
  'Expected a certificate (PEM) in {1}, got: {2}': 'Attendu un certificat (PEM) dans {1}, obtenu : {2}',
  'openssl x509 -in FILE -text shows what it is': 'openssl x509 -in FICHIER -text montre ce que c’est',
  'Expected to write the credentials, got: {1}': 'Impossible d’écrire la clé ou le certificat : {1}',
  'make the folder: sudo mkdir -m 700 -p {1}': 'créez le dossier : sudo mkdir -m 700 -p {1}',
  'sudo tocsin doctor shows whether the disk is read-only': 'sudo tocsin doctor dit si le disque est en lecture seule',
};
